"""From what a reader in the sandbox hands over to the program's own text, exactly once."""

from .base import Offset

MARK = "\x1e"
BROKEN = "\ufffd"


class ReaderText:
    """What one reader says on one stream, from its mark on and behind an offset.

    feed() gives the program's text that is new; the reader's own lines, which say that
    it lives, are left out. `word` is what stood on the mark's line, None before it came.
    `offset` is behind everything that feed() gave.
    """

    def __init__(self, mark: str, offset: Offset):
        self.offset = offset
        self.word: str | None = None
        self._mark = f"{MARK}{mark} "
        self._beats = [f"{BROKEN * broken}{self._mark}+{broken}\n" for broken in range(3)]
        self._before = ""
        self._begun = ""
        self._skip = offset.chars
        self._held = ""

    def feed(self, text: str) -> str:
        if self.word is None:
            text = self._after_mark(text)
        text = self._new(self._without_beats(text))
        if not text:
            return ""
        text = self._held + text
        # A stream that breaks off inside a character ends with one of these, which a
        # later reader replaces by the character: it is not given before more comes.
        self._held = BROKEN if text[-1] == BROKEN else ""
        return self._given(text[:-1] if self._held else text)

    def end(self) -> str:
        """What was held: the program's output is over, so it is the program's."""
        rest = self._held + self._new(self._begun)
        self._held = self._begun = ""
        return self._given(rest)

    def _after_mark(self, text: str) -> str:
        self._before += text
        start = self._before.find(self._mark)
        end = self._before.find("\n", start) if start >= 0 else -1
        if end < 0:
            return ""
        self.word = self._before[start + len(self._mark) : end]
        text, self._before = self._before[end + 1 :], ""
        return text

    def _without_beats(self, text: str) -> str:
        """Also without a last line that may become one."""
        text, self._begun = self._begun + text, ""
        if MARK not in text:
            return text
        for beat in self._beats:
            text = text.replace(beat, "")
        start = text.rfind(MARK)
        if start >= 0 and any(beat.lstrip(BROKEN).startswith(text[start:]) for beat in self._beats):
            # With what may be the character in which it came.
            start = max(0, start - 2)
            text, self._begun = text[:start], text[start:]
        return text

    def _new(self, text: str) -> str:
        skipped = min(self._skip, len(text))
        self._skip -= skipped
        return text[skipped:]

    def _given(self, text: str) -> str:
        self.offset = self.offset.after(text)
        return text
