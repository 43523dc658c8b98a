from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.streaming.cap import OutputCap

LIMIT = 64 * 1024


class OutputCapTests(SimpleTestCase):
    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.integers(1, 9_000), min_size=1, max_size=120))
    def test_the_first_three_quarters_and_the_last_quarter_stay(self, sizes):
        cap, kept = OutputCap(LIMIT), {}
        for seq, size in enumerate(sizes, start=1):
            cap.add(seq, size)
            kept[seq] = size
            if drop := cap.take_drop():
                for gone in range(drop[0], drop[1] + 1):
                    del kept[gone]  # each chunk is dropped once

        self.assertLess(sum(kept.values()), LIMIT + 9_000 + LIMIT // 64)
        if cap.dropped is None:
            self.assertEqual(len(kept), len(sizes))
            return
        first, last = cap.dropped["from_seq"], cap.dropped["to_seq"]
        self.assertEqual(set(kept), {*range(1, first), *range(last + 1, len(sizes) + 1)})
        self.assertEqual(cap.dropped["chunks"], last - first + 1)
        self.assertEqual(cap.dropped["bytes"], sum(sizes[first - 1 : last]))
        head, tail = sum(sizes[: first - 1]), sum(sizes[last:])
        self.assertLessEqual(head, LIMIT * 3 // 4)
        self.assertGreater(head + sizes[first - 1], LIMIT * 3 // 4)
        self.assertGreaterEqual(tail, LIMIT // 4)

    def test_nothing_goes_below_the_limit(self):
        cap = OutputCap(LIMIT)
        for seq in range(1, 65):
            cap.add(seq, 1024)
        self.assertIsNone(cap.take_drop())
        self.assertFalse(cap.reached)

    def test_the_middle_goes_as_soon_as_the_limit_is_passed(self):
        cap, dropped = OutputCap(LIMIT), []
        for seq in range(1, 71):
            cap.add(seq, 1024)
            dropped.append(cap.take_drop())
        self.assertEqual(dropped.index((49, 49)), 65 - 1)

    def test_a_flood_of_single_bytes_needs_few_marks(self):
        cap = OutputCap(64 * 1024 * 1024)
        for seq in range(1, 200_001):
            cap.add(seq, 1000)
            cap.take_drop()
        self.assertLess(len(cap._marks), 400)
        self.assertGreater(cap.dropped["chunks"], 100_000)
