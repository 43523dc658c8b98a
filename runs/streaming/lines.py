"""Event lines: finding structured events in a program's standard output."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from ..models import STREAM_CODES

# A line that may be an event is held until its end, but no longer than this.
HELD_BYTES = 1024 * 1024
HELD_SECONDS = 1.0
MAX_DEPTH = 64

STDOUT = STREAM_CODES["stdout"]
EVENT = STREAM_CODES["event"]

# A line beginning with {, or nothing but blanks up to the end of what we have:
# either may become an event line.
_CANDIDATE = re.compile(r"^[ \t]*(?:\{|\Z)", re.MULTILINE)


class Draft(NamedTuple):
    """A chunk before it is numbered; `at` is time.monotonic() of its first byte."""

    task: int
    stream: str  # the code that is stored
    text: str
    data: str | None
    at: float


class EventLines:
    """Split one task's stdout into plain text and event lines, however it was cut.

    The text of all drafts, in order, is the text that was fed. While `deadline` is
    not None a line is being held; whoever feeds calls release() at that time. After
    it, and after 1 MiB, the line is stdout up to its newline, whatever it turns out
    to be.
    """

    def __init__(self, task: int):
        self._task = task
        self._held: list[str] = []
        self._held_bytes = 0
        self._since = 0.0
        self._midline = False

    @property
    def deadline(self) -> float | None:
        return self._since + HELD_SECONDS if self._held else None

    def feed(self, text: str, at: float) -> list[Draft]:
        drafts: list[Draft] = []
        if self._held:
            text, at = self._continue_held(text, at, drafts)
        if text:
            self._scan(text, at, drafts)
        return drafts

    def release(self) -> list[Draft]:
        """Give out what is held, as stdout."""
        if not self._held:
            return []
        self._midline = True
        return [self._plain(self._take_held(), self._since)]

    def end(self) -> list[Draft]:
        """The output is over: a held line ended without a newline."""
        return [self._line(self._take_held(), self._since)] if self._held else []

    def _continue_held(self, text: str, at: float, drafts: list[Draft]) -> tuple[str, float]:
        """What is left to scan of `text`, and when its first byte was read."""
        if not any("{" in part for part in self._held):
            # Only blanks so far; what follows decides what the line is.
            return self._take_held() + text, self._since
        newline = text.find("\n") + 1
        if not newline:
            self._hold(text, self._since, drafts)
            return "", at
        since = self._since
        drafts.append(self._line(self._take_held() + text[:newline], since))
        return text[newline:], at

    def _scan(self, text: str, at: float, drafts: list[Draft]) -> None:
        plain = position = 0
        if self._midline:
            position = text.find("\n") + 1
            if not position:
                drafts.append(self._plain(text, at))
                return
        for start, end in _candidates(text, position):
            if not end:
                if start > plain:
                    drafts.append(self._plain(text[plain:start], at))
                self._midline = False
                self._hold(text[start:], at, drafts)
                return
            line = self._line(text[start:end], at)
            if line.stream == EVENT:
                if start > plain:
                    drafts.append(self._plain(text[plain:start], at))
                drafts.append(line)
                plain = end
        if plain < len(text):
            drafts.append(self._plain(text[plain:], at))
        self._midline = not text.endswith("\n")

    def _hold(self, text: str, since: float, drafts: list[Draft]) -> None:
        self._held.append(text)
        self._held_bytes += utf8_length(text)
        self._since = since
        if self._held_bytes > HELD_BYTES:
            drafts += self.release()

    def _take_held(self) -> str:
        text, self._held, self._held_bytes = "".join(self._held), [], 0
        return text

    def _plain(self, text: str, at: float) -> Draft:
        return Draft(self._task, STDOUT, text, None, at)

    def _line(self, text: str, at: float) -> Draft:
        data = event_data(text)
        return Draft(self._task, STDOUT if data is None else EVENT, text, data, at)


def _candidates(text: str, position: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each line that may be an event; end is 0 for one not yet over."""
    if text.find("{", position) < 0:
        # The usual case, without the pattern: only a tail of blanks matters.
        tail = max(text.rfind("\n") + 1, position)
        if tail < len(text) and not text[tail:].strip(" \t"):
            yield tail, 0
        return
    while (match := _CANDIDATE.search(text, position)) and match.start() < len(text):
        position = text.find("\n", match.start()) + 1
        yield match.start(), position
        if not position:
            return


def event_data(line: str) -> str | None:
    """The JSON of a structured event to be stored, or None if the line is none.

    An event is a JSON object, strictly parsed (no NaN, no lone surrogates, at most
    64 levels), with a string `type`, or else with a string `stage`: then its type is
    the word "stage". The program's own JSON text is kept, so that no number loses
    digits.
    """
    if '"type"' not in line and '"stage"' not in line and "\\" not in line:
        return None
    if utf8_length(line.removesuffix("\n")) > HELD_BYTES:
        return None
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict) or not _is_shallow(line, event):
        return None
    if isinstance(event.get("type"), str):
        # A CR can only be white space between tokens here; some readers end a line at it.
        return line.strip().replace("\r", " ")
    if isinstance(event.get("stage"), str):
        return orjson.dumps({**event, "type": "stage"}).decode()
    return None


def _is_shallow(line: str, event: dict) -> bool:
    if line.count("{") + line.count("[") <= MAX_DEPTH:
        return True
    level: list = [event]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False


def utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
