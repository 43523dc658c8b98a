"""What is looked for: words as they stand, or a pattern.

A needle's `finder(text)` gives find(position), the next (start, end) from there on or
None. It never finds anything across the end of a line, nor anything empty.
"""

import time
from collections.abc import Callable

WORDS_MAX = 200
# A pattern is looked for in parts of a text, because nothing else goes on meanwhile.
PART, PART_MAX, OVERLAP = 16 * 1024, 64 * 1024, 1024
# Larger ones may take a second for 64 KiB: measured with [ab]*a[ab]{n}c on random a and b.
PROGRAM_MAX = 1_000
SECONDS_MAX = 2.0

Find = Callable[[int], tuple[int, int] | None]


class BadNeedle(Exception):
    """It cannot be looked for; a sentence for people."""


def needle(words: str, match_case: bool = False, is_pattern: bool = False):
    """A needle of up to WORDS_MAX characters. Raises BadNeedle."""
    if not words:
        raise BadNeedle("Say what to look for.")
    if len(words) > WORDS_MAX:
        raise BadNeedle(f"Look for at most {WORDS_MAX} characters.")
    if "\n" in words or "\r" in words:
        raise BadNeedle("One line is searched at a time. Leave the line break out.")
    return Pattern(words, match_case) if is_pattern else Words(words, match_case)


def folded(text: str) -> str:
    """The text in lower case with every character where it was."""
    if text.isascii():
        return text.lower()
    # The one letter that becomes two, and the one that becomes another at a word's end.
    return text.replace("\u0130", "i").lower().replace("ς", "σ")


class Words:
    def __init__(self, words: str, match_case: bool):
        self._words = words if match_case else folded(words)
        self._match_case = match_case

    def finder(self, text: str) -> Find:
        words, size = self._words, len(self._words)
        where = text if self._match_case else folded(text)

        def find(position: int):
            start = where.find(words, position)
            return None if start < 0 else (start, start + size)

        return find


class Pattern:
    """A regular expression in RE2's syntax.

    RE2 takes time that grows with the text and not with what the pattern could try, so
    nobody stops the server with one like (a+)+$. What it cannot say is back-references
    and lookaround.
    """

    def __init__(self, pattern: str, match_case: bool):
        self._compiled = _compiled(pattern, match_case)
        self._spent = 0.0
        if self._compiled.programsize > PROGRAM_MAX:
            raise BadNeedle("This pattern is too large. Use fewer or smaller repetitions.")
        if self._compiled.search(b""):
            raise BadNeedle("This pattern fits even an empty line. Ask for at least a character.")

    def finder(self, text: str) -> Find:
        """Raises BadNeedle while finding if the pattern takes too long."""
        if text.isascii():
            return self._in_bytes(text.encode())
        encoded = text.encode("utf-8", "replace")
        find_bytes = self._in_bytes(encoded)
        # How far characters and bytes have been counted together; both only grow.
        chars = size = 0

        def find(position: int):
            nonlocal chars, size
            size += len(text[chars:position].encode("utf-8", "replace"))
            chars = position
            found = find_bytes(size)
            if found is None:
                return None
            start = chars + len(encoded[size : found[0]].decode())
            return start, start + len(encoded[found[0] : found[1]].decode())

        return find

    def _in_bytes(self, text: bytes) -> Find:
        def find(position: int):
            while position < len(text):
                until, is_cut = _part(text, position)
                while match := self._search(text, position, until):
                    start, end = match.span()
                    if start < end:
                        return start, end
                    position = start + 1
                if not is_cut and until >= len(text):
                    return None
                position = max(position, until - OVERLAP if is_cut else until)
            return None

        return find

    def _search(self, text: bytes, position: int, until: int):
        if position > until:
            return None
        began = time.perf_counter()
        match = self._compiled.search(text, position, until)
        self._spent += time.perf_counter() - began
        if self._spent > SECONDS_MAX:
            raise BadNeedle("This pattern takes too long. Use fewer or smaller repetitions.")
        return match


def _part(text: bytes, position: int) -> tuple[int, bool]:
    """Where a part that begins at `position` ends, and whether that is inside a line."""
    newline = text.find(b"\n", position + PART, position + PART_MAX)
    if newline >= 0:
        return newline, False
    if position + PART_MAX >= len(text):
        return len(text), False
    return position + PART_MAX, True


def _compiled(pattern: str, match_case: bool):
    try:
        # Compiled code that is not made for every system; all else works without.
        import re2
    except ImportError:
        raise BadNeedle(
            "Patterns need the package google-re2, which this server does not have. "
            "Look for plain words."
        ) from None
    options = re2.Options()
    options.case_sensitive = match_case
    options.never_nl = True
    options.never_capture = True
    options.log_errors = False
    try:
        return re2.compile(f"(?m){pattern}", options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if isinstance(error, re2.error) else "it holds half a character"
        if isinstance(reason, bytes):
            reason = reason.decode("utf-8", "replace")
        raise BadNeedle(f"This pattern is not understood: {reason}.") from None
