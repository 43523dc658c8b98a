"""Chunks as rows on the server."""

import json
import time
from pathlib import Path

from django.test import SimpleTestCase

from runs.models import STREAM_CODES
from runs.web.lines import LINE_LENGTH, clean, clock, lines_of

CASES = json.loads((Path(__file__).parent / "rows.json").read_text())


def rows_of(chunks):
    for seq, (stream, task, line, text, *data) in enumerate(chunks, start=1):
        stored = json.dumps(data[0]) if data else None
        yield seq, 0, line, STREAM_CODES[stream], task, text, stored


def said(line) -> str:
    if line.event:
        percent = line.event["percent"]
        shown = "" if percent is None else f"{percent:g}"
        return f"{line.event['type']}|{line.event['summary']}|{shown}"
    if line.parts:
        return ",".join(f"{part.how}:{part.label}" for part in line.parts)
    return line.text


class LineTests(SimpleTestCase):
    def test_the_shared_examples(self):
        for case in CASES:
            with self.subTest(case["name"]):
                lines = lines_of(rows_of(case["chunks"]))
                drawn = [[line.number, line.stream, said(line), line.ended] for line in lines]
                self.assertEqual(drawn, case["rows"])

    def test_a_long_line_is_cut_and_says_so(self):
        text = clean("x" * (LINE_LENGTH + 5))

        self.assertTrue(text.endswith("x … 5 more characters, all of them in the export"))

    def test_no_line_is_slow_to_draw(self):
        began = time.perf_counter()
        for line in (
            "\r" * 10**5,
            "\x1b[" * 10**5,
            "\x1b]" * 10**5,
            "\r\n" * 10**5,
            "\u202e" * 10**5,
        ):
            clean(line)

        self.assertLess(time.perf_counter() - began, 2)

    def test_times_read_like_a_clock(self):
        self.assertEqual(
            [clock(t) for t in (0.4124, 178.041, 3778.0)], ["0:00.412", "2:58.041", "1:02:58.000"]
        )
