"""From what a reader in the sandbox hands over to the program's own text, exactly once."""

from .base import Offset

MARK = "\x1e"
BROKEN = "\ufffd"


class ReaderText:
    """What one reader says on one stream, from its mark on and behind an offset.

    feed() gives the program's text that is new. `word` is what stood on the mark's
    line, None before it came. `offset` is behind everything that feed() gave.
    """

    def __init__(self, mark: str, offset: Offset):
        self.offset = offset
        self.word: str | None = None
        self._mark = f"{MARK}{mark} "
        self._before = ""
        self._skip = offset.chars
        self._held = ""

    def feed(self, text: str) -> str:
        if self.word is None:
            text = self._after_mark(text)
        if self._skip:
            skipped = min(self._skip, len(text))
            self._skip -= skipped
            text = text[skipped:]
        if not text:
            return ""
        text = self._held + text
        # A stream that breaks off inside a character ends with one of these, which a
        # later reader replaces by the character: it is not given before more comes.
        self._held = BROKEN if text[-1] == BROKEN else ""
        return self._given(text[:-1] if self._held else text)

    def end(self) -> str:
        """What was held: the program's output is over, so it is the program's."""
        held, self._held = self._held, ""
        return self._given(held)

    def _after_mark(self, text: str) -> str:
        self._before += text
        start = self._before.find(self._mark)
        end = self._before.find("\n", start) if start >= 0 else -1
        if end < 0:
            return ""
        self.word = self._before[start + len(self._mark) : end]
        text, self._before = self._before[end + 1 :], ""
        return text

    def _given(self, text: str) -> str:
        self.offset = self.offset.after(text)
        return text
