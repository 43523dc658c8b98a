"""Masking: no secret gets past, whatever its form and however the output is cut."""

import base64
import json
from functools import cache
from itertools import pairwise
from urllib.parse import quote, quote_plus

from django.test import SimpleTestCase
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runs.streaming.masking import MASK, Masker, Secrets

KEY = "sk-ant-api03/Zq+8vX_2"
LONG = "sk-ant-" + "".join(chr(97 + n * 7 % 26) for n in range(101))
ODD = 'p"ss\\wörd/with ?everything&%'
LINES = "first line of it\nab\n  second line of it\n"
VALUES = [KEY, LONG, ODD, LINES, "aaaaaaaaab", "aaaaaaaa"]


@cache
def secrets_of(*values: str) -> Secrets:
    return Secrets(values)


def through(text: str, cuts: list[int], values=VALUES) -> str:
    masker = Masker(secrets_of(*values))
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [masker.feed(text[a:b], 0.0)[0] for a, b in pairwise(places) if a < b]
    return "".join([*parts, masker.end()[0]])


def wrapped(data: str, width: int, end: str = "\n") -> str:
    text = base64.b64encode(data.encode()).decode()
    return end.join(text[at : at + width] for at in range(0, len(text), width))


class FormTests(SimpleTestCase):
    def masks(self, text: str, values=VALUES) -> str:
        """`text` masked, the same for every single cut and one character at a time."""
        whole = through(text, [], values)
        for cut in range(len(text)):
            self.assertEqual(through(text, [cut], values), whole)
        self.assertEqual(through(text, list(range(len(text))), values), whole)
        return whole

    def test_the_value_itself(self):
        self.assertEqual(self.masks(f"key: {KEY}.\n"), "key: ***.\n")
        self.assertEqual(self.masks(f"{KEY}{KEY}"), "******")
        self.assertEqual(self.masks(f"<{ODD}>"), "<***>")

    def test_what_is_none_stays(self):
        for text in ("", "nothing\n", KEY[:-1], KEY[1:], f"{KEY[:9]}\n{KEY[9:]}", "ab\n"):
            self.assertEqual(self.masks(text), text)

    def test_each_line_of_several(self):
        self.assertEqual(
            self.masks("> first line of it\r\n>   second line of it\n"), "> ***\r\n>   ***\n"
        )

    def test_in_json(self):
        for text in (json.dumps(ODD), json.dumps(ODD, ensure_ascii=False), json.dumps(LINES)):
            self.assertEqual(self.masks(text)[:4], '"***')
            self.assertNotIn("everything", self.masks(text))
            self.assertNotIn("second", self.masks(text))

    def test_in_urls(self):
        for text in (
            quote(KEY, safe=""),
            quote(ODD),
            quote_plus(ODD),
            quote(ODD).replace("%2F", "%2f"),
        ):
            self.assertEqual(self.masks(f"?key={text}&a=b"), "?key=***&a=b")

    def test_in_base64_at_any_offset(self):
        for before in ("", "K", "KE", "KEY=", "OTHER="):
            for after in ("", "\n", ";", "\nNEXT=1"):
                for encode in (base64.b64encode, base64.urlsafe_b64encode):
                    text = encode(f"{before}{KEY}{after}".encode()).decode()
                    shown = self.masks(text)
                    self.assertIn(MASK, shown)
                    rest = base64.urlsafe_b64decode(
                        shown.replace(MASK, "A" * (len(text) - len(shown) + 3))
                        .replace("+", "-").replace("/", "_")
                    )  # fmt: skip
                    for at in range(len(KEY) - 3):
                        self.assertNotIn(KEY[at : at + 3].encode(), rest)

    def test_in_wrapped_base64(self):
        for before in ("", "A", "AB", "some text before it "):
            for end in ("\n", "\r\n"):
                text = wrapped(f"{before}{LONG}\n", 76, end) + end
                shown = self.masks(text)
                self.assertEqual(shown.count("\n"), text.count("\n"))
                left = shown.replace(MASK, "").replace("\r", "").replace("\n", "")
                self.assertLessEqual(len(left), len(before) * 4 / 3 + 4)

    def test_between_terminal_codes(self):
        red, off = "\x1b[31m", "\x1b[0m"
        self.assertEqual(self.masks(f"{red}{KEY}{off}"), f"{red}***{off}")
        self.assertEqual(self.masks(f"{KEY[:5]}{red}{KEY[5:]}{off}"), f"***{red}{off}")
        link = "\x1b]8;;file://x\x1b\\"
        one_by_one = "".join(f"{link}{char}" for char in KEY)
        self.assertNotIn(KEY[-1], self.masks(one_by_one).replace(link, ""))
        self.assertEqual(self.masks(f"x{red}y\x1b"), f"x{red}y\x1b")

    def test_overlapping_ones_leave_nothing(self):
        self.assertEqual(
            self.masks("-abcdefghijklmnop-", ["abcdefghij", "ghijklmnop"]), f"-{MASK}-"
        )
        self.assertEqual(self.masks("aaaaaaaaaaaaaab", VALUES), MASK)

    def test_short_ones_are_not_looked_for(self):
        self.assertFalse(Secrets(["short", "", "1234567"]))
        self.assertEqual(through("short 1234567", [], ["short", "1234567"]), "short 1234567")


class TailTests(SimpleTestCase):
    def test_only_what_may_begin_a_secret_waits(self):
        masker = Masker(Secrets([KEY]))
        self.assertEqual(masker.feed("done\n", 1.0), ("done\n", 1.0))
        self.assertEqual(masker.feed("a s", 2.0), ("a ", 2.0))
        self.assertEqual(masker.feed("k", 3.0), ("", 2.0))
        self.assertEqual(masker.feed("ip\nover s", 4.0), ("skip\nover ", 2.0))
        self.assertEqual(masker.end(), ("s", 4.0))

    def test_codes_without_end_do_not_hold_for_ever(self):
        masker = Masker(Secrets([KEY]))
        given = [masker.feed(text, 0.0)[0] for text in [KEY[:4], *["\x1b[0m"] * 3000]]
        self.assertTrue(any(given))

    def test_it_counts(self):
        secrets = Secrets([KEY])
        masker = Masker(secrets)
        for text in (KEY[:9], KEY[9:], f" and {KEY}"):
            masker.feed(text, 0.0)
        self.assertEqual(secrets.masked(f"{KEY}{KEY}"), "******")
        self.assertEqual(secrets.count, 4)


ALPHABET = st.sampled_from([*"ab\n \r\x1b[m", KEY, KEY[:7], KEY[7:], "aaaa", "\x1b[1m", LONG[:50]])


class AnyCutTests(SimpleTestCase):
    @settings(max_examples=300, deadline=None)
    @given(st.lists(ALPHABET, max_size=20).map("".join), st.lists(st.integers(0, 300), max_size=9))
    @example(wrapped(f"abc{LONG}\nx", 60), [61, 100])
    @example(f"a{KEY}\x1b{KEY}", [23])
    @example(f"\x1b[1s\x1b[m{KEY[1:]}", [3])
    def test_cuts_change_nothing(self, text, cuts):
        self.assertEqual(through(text, cuts), through(text, []))

    @settings(max_examples=300, deadline=None)
    @given(st.lists(ALPHABET, max_size=20).map("".join), st.lists(st.integers(0, 300), max_size=9))
    @example(f"{KEY} {KEY}\n{KEY}--", [3, 30, 45, 50])
    @example(wrapped(LONG, 60) + "\n--", [130, 147, 149])
    def test_positions_are_the_programs_own(self, text, cuts):
        """After every feed: the rest of the program's stream, from there, is the rest."""
        masker = Masker(secrets_of(*VALUES))
        places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
        shown = ""
        for a, b in pairwise(places):
            shown += masker.feed(text[a:b], 0.0)[0]
            line, column = shown.count("\n"), len(shown) - shown.rfind("\n") - 1
            column += masker.shifts.get((line, column), 0)
            starts = [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]
            rest = text[starts[line] + column :]
            self.assertEqual(shown + through(rest, []), through(text, []))
