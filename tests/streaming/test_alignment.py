"""Which lines belong together, and how long that takes at most."""

from array import array

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.streaming import alignment
from runs.streaming.alignment import Steps, blocks

lines = st.lists(st.integers(0, 6), max_size=40)


def matched(a, b, window=alignment.WINDOW, steps=None) -> int:
    """How many lines belong together; fails where blocks() says what is not so."""
    a, b = array("q", a), array("q", b)
    at_a = at_b = total = 0
    for i, j, n in blocks(a, b, steps or Steps(), window):
        assert n > 0
        assert at_a <= i, (i, j, n)
        assert at_b <= j, (i, j, n)
        assert a[i : i + n] == b[j : j + n], (i, j, n)
        at_a, at_b, total = i + n, j + n, total + n
    assert at_a <= len(a)
    assert at_b <= len(b)
    return total


def longest_common(a, b) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        following = [0]
        for k, y in enumerate(b):
            following.append(row[k] + 1 if x == y else max(row[k + 1], following[k]))
        row = following
    return row[-1]


class BlocksTests(SimpleTestCase):
    @given(lines, lines, st.sampled_from([4, 10, alignment.WINDOW]))
    @settings(max_examples=300, deadline=None)
    def test_they_are_the_same_in_both_and_in_order(self, a, b, window):
        found = matched(a, b, window)
        self.assertLessEqual(found, longest_common(a, b))

    @given(lines)
    @settings(max_examples=300, deadline=None)
    def test_few_edits_are_all_found(self, a):
        with_edits = [*a[:3], 99, *a[3:8], *a[9:]]
        self.assertGreaterEqual(matched(a, with_edits), longest_common(a, with_edits) - 1)

    def test_a_million_lines(self):
        base = array("q", range(1_000_000))
        changed = array("q", base)
        changed[500_000] = -1
        moved = base[:500_000] + array("q", range(-60_000, 0)) + base[500_000:]
        self.assertEqual(matched(base, base), 1_000_000)
        self.assertEqual(matched(base, changed), 999_999)
        self.assertEqual(matched(base, moved), 1_000_000)

    def test_what_has_nothing_in_common_ends_too(self):
        steps = Steps()
        backwards = array("q", range(100_000))[::-1]
        self.assertLessEqual(matched(range(100_000), backwards, steps=steps), 1)
        same_words = [[(n * k) % 7 for n in range(50_000)] for k in (3, 5)]
        matched(*same_words, steps=steps)

    def test_no_more_than_so_many_steps(self):
        steps = Steps(most=100)
        odd, even = range(1, 2000, 2), range(0, 2000, 2)
        mixed = [n for pair in zip(odd, even, strict=True) for n in (pair[0], -pair[0], pair[1])]
        matched(mixed, [*even, *odd], steps=steps)
        self.assertLessEqual(steps.left, 0)

    def test_it_can_be_ended_from_outside(self):
        def check():
            raise TimeoutError

        with self.assertRaises(TimeoutError):
            list(blocks([1, 2, 3, 1, 9], [4, 5, 6, 2, 8], Steps(check=check)))
