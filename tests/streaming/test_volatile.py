"""What is set aside when lines are compared, and what is not."""

import time

from django.test import SimpleTestCase

from runs.streaming.volatile import settled

SAME = [
    ("2025-01-31T12:00:00.123Z INFO start", "2026-11-22T01:02:03.9+01:00 INFO start"),
    ("2025/01/31 12:00 x", "2026/11/22 01:02 x"),
    ("31/Jan/2025:12:00:00 +0000 x", "22/Nov/2026:01:00:00 +0100 x"),
    ("Jan 31 12:00:00 host", "Nov  2 01:02:03 host"),
    ("12:00:01 AM x", "01:00 PM x"),
    ("ts=1700000000", "ts=1763862131"),
    ("ts 1700000000.123", "ts 1763862131.5"),
    ("done in 3.2 s", "done in 12 s"),
    ("took 15ms", "took 3µs"),
    ("in 1m30s", "in 12m3s"),
    ("2 minutes left", "1 minute left"),
    ("10 % done", "99.5 % done"),
    ("12.5 MB/s", "3 kB/s"),
    (" 45%|##| 3/9 [00:01<00:02, 3.1it/s]", " 46%|##| 3/9 [00:03<00:09, 2.1it/s]"),
    ("at 0x7f3a2b1c", "at 0x55d0aa0"),
    ("id 123e4567-e89b-12d3-a456-426614174000", "id ABCDEF00-e89b-12d3-a456-426614174000"),
    ("pid 12", "pid 99"),
    ("PID: 12", "PID: 4"),
    ("Process 12 ended", "Process 9 ended"),
    ("sshd[123]: x", "sshd[9]: x"),
    ("wrote /tmp/abc/x.txt ok", "wrote /tmp/def-9/y ok"),
    ("wrote /var/folders/ab/T/x ok", "wrote /var/folders/cd/T/y ok"),
    ("\x1b[31mred\x1b[0m", "\x1b[1;32mred\x1b[0m"),
    ("1 of 9\r5 of 9\rdone", "9 of 9\rdone\r"),
]
DIFFERENT = [
    ("seq 12", "seq 13"),
    ("count 5 items", "count 6 items"),
    ("v1.2.3", "v1.2.4"),
    ("port 8000", "port 8001"),
    ("0x1f", "0x2f"),
    ("error 404", "error 500"),
    ("3 sheep", "4 sheep"),
    ("abc123", "abc124"),
    ("127.0.0.1", "127.0.0.2"),
    ("/tmpx/a", "/tmpx/b"),
    ("/home/tmp/a", "/home/temp/a"),
    ("x[1]", "x[2]"),
    ("1000000000000", "1000000000001"),
    ("line 1500000", "line 1500001"),
    ("5 minus", "6 minus"),
    ("May be", "Mai be"),
]
PAINS = ["1", "a", " ", "\r", "\x1b[", "\x1b]", "0x", "1:", "00:", "1.", "/tmp/", "Jan ", "pid ",
         "12345678-", "1h2", "1 "]  # fmt: skip


class SettledTests(SimpleTestCase):
    def test_what_means_nothing(self):
        for one, other in SAME:
            with self.subTest(one):
                first, second = settled([one, other])
                self.assertEqual(first, second)
                self.assertNotEqual(first, "")

    def test_what_may_mean_something(self):
        for one, other in DIFFERENT:
            with self.subTest(one):
                self.assertEqual(len(set(settled([one, other]))), 2)

    def test_lines_stay_lines(self):
        lines = [text for pair in SAME for text in pair] + ["", "\r", "\r\r", "x\r", "12:00"]
        self.assertEqual(settled(lines), [settled([line])[0] for line in lines])

    def test_no_line_takes_long(self):
        for pain in PAINS:
            with self.subTest(pain):
                began = time.process_time()
                settled([pain * (300_000 // len(pain))])
                # Measured: 0.1 s. Quadratic would be minutes.
                self.assertLess(time.process_time() - began, 5)
