"""Chunks become lines, and lines that hold a needle become hits.

A chunk's boundaries mean nothing: a line goes on where its stream and task left it. Many
chunks are looked through at once, because a look at each line takes ten times as long.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from ..models import STREAM_CODES, STREAM_NAMES

# seq, t, line, stream, task, text
TextRow = tuple[int, int, int, str, int, str]
Key = tuple[str, int]

# Each is a row of its own in the log, whatever stands before and behind it.
BLOCKS = {STREAM_CODES[name] for name in ("event", "result", "error")}
# A line that goes on is looked through in pieces of this length.
LINE_MAX, OVERLAP = 64 * 1024, 1024
RANGES_MAX = 20
# How much of its line a hit shows, and of that before what was found.
TEXT, TEXT_BEFORE = 240, 60

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_LINE_END = re.compile(r"\r+\n")
# A line with one of these may look otherwise than it is written.
_UNPLAIN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Hit(NamedTuple):
    """A line that holds the needle. `text` is cut around the first place, start to end in
    it; `ranges` are the first RANGES_MAX places in the whole line, as it is visible."""

    seq: int  # of the chunk in which the line begins
    t: int
    line: int
    stream: str
    task: int
    text: str
    start: int
    end: int
    ranges: list[tuple[int, int]]
    last: int  # seq of the chunk in which the line ends

    def json(self) -> dict:
        kept = self._asdict()
        del kept["last"]
        return kept | {"t": self.t / 1e6, "stream": STREAM_NAMES[self.stream]}


class OpenLine(NamedTuple):
    """A line whose end has not come."""

    seq: int
    t: int
    number: int
    raw: str
    last: int
    is_whole: bool  # its beginning is known
    is_new: bool  # some of it came since the scan began
    is_told: bool = False
    skipped: int = 0


class Scanner:
    """Finds a needle in the rows of one run that are fed in seq order.

    `show` tells what a line looks like. `open_lines` are those that were open where
    the scan begins; `from_start`: that is where the log begins.
    """

    def __init__(self, needle, show: Callable[[str], str], open_lines=(), from_start=False):
        self.open: dict[Key, OpenLine] = dict(open_lines)
        self._needle = needle
        self._show = show
        self._from_start = from_start

    def feed(self, rows: list[TextRow], most: int | None = None) -> list[Hit]:
        """Hits in lines that end in these rows, in the order of their ends.

        With `most` the search gives up when there are more of one stream and task.
        """
        keys = {(row[3], row[4]) for row in rows}
        if len(keys) == 1:
            return self._feed(keys.pop(), rows, most)
        groups: dict[Key, list[TextRow]] = {key: [] for key in keys}
        for row in rows:
            groups[row[3], row[4]].append(row)
        found = [self._feed(key, some, most) for key, some in groups.items()]
        return sorted((hit for hits in found for hit in hits), key=lambda hit: hit.last)

    def rest(self, is_due: Callable[[Key], bool]) -> list[Hit]:
        """Hits in lines that are still open, as far as they go."""
        due = [(key, line) for key, line in self.open.items() if line.is_new and is_due(key)]
        found = [self._in_piece(key, line, line.raw) for key, line in due if not line.is_told]
        return sorted(filter(None, found), key=lambda hit: hit.last)

    def _feed(self, key: Key, rows: list[TextRow], most: int | None) -> list[Hit]:
        rows = [row for row in rows if row[5]]
        if not rows:
            return []
        texts = [row[5] for row in rows]
        if key[0] in BLOCKS:
            texts = [text if text.endswith("\n") else text + "\n" for text in texts]
            return self._hits(key, _Lines(rows, texts, None), "".join(texts), most)
        opened = self.open.pop(key, None)
        text = "".join([opened.raw, *texts] if opened else texts)
        cut = text.rfind("\n") + 1
        lines = _Lines(rows, texts, opened)
        hits = self._hits(key, lines, text[:cut], most) if cut else []
        if cut < len(text):
            hits += self._leave_open(key, lines, text[cut:], rows, opened if not cut else None)
        return hits

    def _leave_open(self, key, lines: "_Lines", raw: str, rows, opened) -> list[Hit]:
        """Keep what has no end yet, in a bounded length; a hit in what is not kept."""
        line = opened
        if line is None:
            place = lines.place(lines.newlines)
            line = OpenLine(*place, "", 0, lines.newlines > 0 or self._from_start, True)
        line = line._replace(raw=raw, last=rows[-1][0], is_new=True)
        hits = []
        if self._needle and len(raw) > LINE_MAX:
            # Overwritten text is not looked at.
            again = raw.rfind("\r", 0, -1)
            hit = None if line.is_told else self._in_piece(key, line, raw)
            hits += [hit] if hit else []
            gone = max(again, len(raw) - OVERLAP)
            line = line._replace(
                raw=raw[gone:], skipped=line.skipped + gone, is_told=line.is_told or bool(hit)
            )
        self.open[key] = line
        return hits

    def _in_piece(self, key: Key, line: OpenLine, raw: str) -> Hit | None:
        shown = self._show(raw)
        if not self._needle or not (span := self._needle.finder(shown)(0)):
            return None
        place = line.seq, line.t, line.number
        return _hit(key, place, line.last, shown, [span], line.skipped)

    # --- complete lines ------------------------------------------------------------

    def _hits(self, key: Key, lines: "_Lines", text: str, most: int | None) -> list[Hit]:
        if not self._needle:
            return []
        shown = self._visible(text)
        find = self._needle.finder(shown)
        hits: list[Hit] = []
        position = number = counted = 0
        while (span := find(position)) and (most is None or len(hits) <= most):
            start = shown.rfind("\n", 0, span[0]) + 1
            end = shown.find("\n", span[0])
            number += shown.count("\n", counted, start)
            counted = start
            position = end + 1
            span = span[0] - start, span[1] - start
            hit = self._line_hit(key, lines, number, shown[start:end], span)
            is_same_block = key[0] in BLOCKS and hits and hit and hits[-1].seq == hit.seq
            if hit and not is_same_block:
                hits.append(hit)
        return hits

    def _line_hit(self, key, lines: "_Lines", number: int, shown: str, span) -> Hit | None:
        opened = lines.opened if number == 0 else None
        if opened and opened.is_told:
            return None
        find, spans = self._needle.finder(shown), [span]
        while len(spans) < RANGES_MAX and (span := find(span[1])):
            spans.append(span)
        place = lines.place(number)
        if key[0] in BLOCKS:
            # The row's own number: it is one row, however many lines it has.
            place = place[0], place[1], lines.first_line(place[0])
        skipped = opened.skipped if opened else 0
        return _hit(key, place, lines.end(number), shown, spans, skipped)

    def _visible(self, text: str) -> str:
        """Complete lines as they look; each stays one line."""
        if "\x1b" in text:
            text = _COLOUR.sub("", text)
        if "\r" in text:
            text = _LINE_END.sub("\n", text)
        if not _UNPLAIN.search(text):
            return text
        lines = text.split("\n")
        return "\n".join(self._show(line) if _UNPLAIN.search(line) else line for line in lines)


class _Lines:
    """Where the lines of some rows of one stream and task begin and end.

    Line 0 goes on from `opened`, if there is one. Nothing is counted before it is asked.
    """

    def __init__(self, rows: list[TextRow], texts: list[str], opened: OpenLine | None):
        self.opened = opened
        self._rows, self._texts = rows, texts
        self._counts: list[int] | None = None

    @property
    def newlines(self) -> int:
        return self._newlines()[-1]

    def end(self, number: int) -> int:
        """The seq of the chunk that holds the end of the line."""
        return self._rows[bisect_left(self._newlines(), number + 1)][0]

    def place(self, number: int) -> tuple[int, int, int]:
        """(seq, t, line number) of the line's beginning."""
        if number == 0:
            if self.opened:
                return self.opened.seq, self.opened.t, self.opened.number
            index = behind = 0
        else:
            index = bisect_left(self._newlines(), number)
            behind = number - (self._newlines()[index - 1] if index else 0)
            is_last = self._newlines()[index] == number
            if is_last and self._texts[index].endswith("\n"):
                index, behind = index + 1, 0
        seq, t, line, *_ = self._rows[index]
        return seq, t, line + 1 + behind

    def first_line(self, seq: int) -> int:
        index = bisect_left(self._rows, seq, key=lambda row: row[0])
        return self._rows[index][2] + 1

    def _newlines(self) -> list[int]:
        """How many there are up to the end of each row."""
        if self._counts is None:
            self._counts = list(accumulate(text.count("\n") for text in self._texts))
        return self._counts


def _hit(key: Key, place, last: int, shown: str, spans: list, skipped: int) -> Hit:
    first = spans[0][0]
    cut = max(0, first - TEXT_BEFORE)
    text = shown[cut : cut + TEXT]
    ranges = [(start + skipped, end + skipped) for start, end in spans]
    end = min(spans[0][1] - cut, len(text))
    return Hit(*place, *key, text, first - cut, end, ranges, last)
