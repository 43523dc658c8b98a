import re
import sys

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from runs.streaming import needles
from runs.streaming.needles import BadNeedle, folded, needle


def spans(one, text) -> list[tuple[int, int]]:
    find, found, position = one.finder(text), [], 0
    while span := find(position):
        found.append(span)
        position = span[1]
    return found


class WordTests(SimpleTestCase):
    def test_every_character_stays_where_it_was(self):
        for code in range(sys.maxunicode + 1):
            if not 0xD800 <= code < 0xE000:
                self.assertEqual(len(folded(chr(code))), 1, hex(code))
        self.assertEqual(len(folded("ΑΣ Σ")), 4)

    def test_any_case_or_exactly(self):
        self.assertEqual(spans(needle("ΟΔΟΣ"), "Οδος ΟΔΟΣ"), [(0, 4), (5, 9)])
        self.assertEqual(spans(needle("istanbul"), "İstanbul"), [(0, 8)])
        self.assertEqual(spans(needle("a.b", match_case=True), "A.b a.b axb"), [(4, 7)])


class PatternTests(SimpleTestCase):
    def test_it_finds_within_lines_only(self):
        text = "one two\nthree\n\nfour"
        for pattern, found in (
            (r"o\s+t", []),
            (r"[^x]t", [(3, 5)]),
            (r"(?s)o.t", []),
            (r"^t\w+$", [(8, 13)]),
            (r"\w+$", [(4, 7), (8, 13), (15, 19)]),
            (r"\bf", [(15, 16)]),
            (r"O", [(0, 1), (6, 7), (16, 17)]),
            (r"x?", []),
        ):
            with self.subTest(pattern):
                if pattern == "x?":
                    self.assertRaises(BadNeedle, needle, pattern, False, True)
                else:
                    self.assertEqual(spans(needle(pattern, False, True), text), found)

    @given(
        st.text(alphabet="aé😀\n b", max_size=40), st.sampled_from(["a", "é", "a.", "[é😀]+", "b$"])
    )
    def test_places_are_counted_in_characters(self, text, pattern):
        # re's $ also stands before a last line break, as ours does before each.
        expected = [match.span() for match in re.finditer(pattern, text, re.M)]
        self.assertEqual(spans(needle(pattern, True, True), text), expected)

    def test_a_long_text_is_searched_in_parts_without_a_gap(self):
        words = [f"word{n} " for n in range(40_000)]
        for separator in ("", "\n"):
            text = separator.join(words)
            self.assertEqual(len(spans(needle(r"word\d+ ", False, True), text)), 40_000)

    def test_what_lies_across_two_parts_is_found(self):
        for before in range(needles.PART_MAX - 8, needles.PART_MAX + 2):
            text = "x" * before + "needle"
            self.assertEqual(spans(needle("needle", False, True), text), [(before, before + 6)])

    def test_a_pattern_that_takes_too_long_is_given_up(self):
        one = needle("x.*y", False, True)
        one._spent = needles.SECONDS_MAX
        with self.assertRaisesMessage(BadNeedle, "takes too long"):
            spans(one, "x")
