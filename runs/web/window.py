"""The part of a log that a page is sent with, bounded whatever the program printed."""

from dataclasses import dataclass

from django.utils.safestring import mark_safe

from ..models import ACTIVE, Run, Status
from ..streaming.reading import rows_after, rows_before
from ..streaming.wire import Row, chunk_json
from .lines import Line, lines_of

CHUNKS = 500
TEXT = 256 * 1024
LINES = 500
STEP = 50
# Rows that are drawn before any script runs; without scripts all of them are.
FIRST_PAINT = 150
# More than this the script asks for itself: a page with large images comes sooner so.
JSON_MAX = 1024 * 1024
_UNSAFE = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


@dataclass(frozen=True, slots=True)
class Window:
    """Lines drawn by the server; chunks `first` to `last` are in them."""

    lines: list[Line]
    first: int
    last: int
    earlier: bool
    later: bool
    opens: str
    chunks: list[Row]

    @property
    def painted(self) -> list[Line]:
        return self.lines[-FIRST_PAINT:] if self.opens == "end" else self.lines[:FIRST_PAINT]

    @property
    def above(self) -> list[Line]:
        return self.lines[:-FIRST_PAINT] if self.opens == "end" else []

    @property
    def below(self) -> list[Line]:
        return [] if self.opens == "end" else self.lines[FIRST_PAINT:]

    @property
    def json(self) -> str | None:
        """The chunks as JSON that may stand in a script element; None if there is too much."""
        items = b",".join(map(chunk_json, self.chunks))
        if len(items) > JSON_MAX:
            return None
        return mark_safe("[" + items.decode().translate(_UNSAFE) + "]")


def window_of(run: Run, after: int | None = None, before: int | None = None) -> Window:
    """What follows `after`, what precedes `before`, or where the run opens by itself.

    A run that goes on or did not succeed opens at its end, else at its start.
    """
    if after is None and before is None:
        at_start = run.status not in ACTIVE and run.status == Status.SUCCEEDED
        after, before = (0, None) if at_start else (None, run.last_seq + 1)
    opens = "start" if after is not None else "end"
    rows = _forward(run, after) if after is not None else _backward(run, before)
    first = rows[0][0] if rows else (after or 0) + 1
    last = rows[-1][0] if rows else (after or 0)
    return Window(lines_of(rows), first, last, first > 1, last < run.last_seq, opens, rows)


def _forward(run: Run, after: int) -> list[Row]:
    budget, kept = _Budget(), []
    while rows := rows_after(run.pk, after, STEP, until=run.last_seq):
        for row in rows:
            if not budget.takes(row):
                return kept
            kept.append(row)
        after = rows[-1][0]
    return kept


def _backward(run: Run, before: int) -> list[Row]:
    budget, kept = _Budget(), []
    while rows := rows_before(run.pk, before, STEP):
        for row in reversed(rows):
            if not budget.takes(row):
                return kept[::-1]
            kept.append(row)
        before = rows[0][0]
    return kept[::-1]


class _Budget:
    """How much fits a page: at least one chunk, whatever its size."""

    def __init__(self):
        self.chunks = self.text = self.lines = 0

    def takes(self, row: Row) -> bool:
        text, data = row[5], row[6]
        self.chunks += 1
        self.text += len(text) + len(data or "")
        self.lines += text.count("\n")
        within = self.chunks <= CHUNKS and self.text <= TEXT and self.lines <= LINES
        return within or self.chunks == 1
