"""Looking for words in what a run printed, in steps that let other requests live.

A line belongs to the chunk in which it ends, so what is found behind a seq and what is
found up to it are all there is, each line once. A line that is open where a step begins
is put together from the chunks before, as far as WINDOW goes. One that is not whole in
there, or does not go on within as many chunks, is looked through as far as it goes and
what follows as a line of its own: a program would have to be silent on one line for a
thousand chunks of others.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from django.db import connection

from ..fields import chunk_key
from .reading import FOREVER, RARE
from .scanning import Hit, Key, OpenLine, Scanner, TextRow

# What one step looks at, at most; a slow machine is done after SECONDS.
EXAMINED_MAX = 50_000
BYTES_MAX = 32 * 1024**2
SECONDS = 0.1
# Read at once.
ROWS, BYTES = 5_000, 1024**2
FETCHED = 32
# Backwards the first look is a short one: it cannot be left in the middle.
ROWS_FIRST, BYTES_FIRST = 200, 64 * 1024
WINDOW, WINDOW_BYTES = 1_000, 256 * 1024

_COLUMNS = "seq, t, line, stream, task, text"
_BETWEEN = "SELECT {} FROM runs_chunk WHERE id > %s AND id <= %s {} ORDER BY id {} LIMIT %s"


@dataclass(frozen=True)
class Search:
    """What to look for, and in which streams (codes; none: in all) and which task."""

    needle: object  # see needles
    show: Callable[[str], str]  # what a line looks like
    streams: Collection[str] = ()
    task: int | None = None

    def takes(self, row: TextRow) -> bool:
        return (not self.streams or row[3] in self.streams) and self.task in (None, row[4])


@dataclass
class Page:
    """Lines in the order of their ends, and how far the search has got.

    `next` is None when nothing is stored beyond; else what to go on after (or before).
    """

    hits: list[Hit]
    examined: int
    next: int | None


def search_after(run_pk: int, after: int, search: Search, limit: int) -> Page:
    """Lines that end behind seq `after`: `limit`, and those that end in the same chunk."""
    scanner = _scanner(run_pk, after, search)
    page, step = Page([], after, after), _Step(search)
    while page.next is not None and len(page.hits) < limit and not step.is_over:
        rows = step.read(run_pk, page.examined, FOREVER)
        before, room = dict(scanner.open), limit - len(page.hits)
        found = scanner.feed(step.taken(rows), room)
        if len(found) > room:
            rows = [row for row in rows if row[0] <= found[room - 1].last]
            scanner.open = before
            found = scanner.feed(step.taken(rows))
        page.hits += found
        page.examined = rows[-1][0] if rows else page.examined
        page.next = page.examined if rows else None
    page.hits += _rest(run_pk, page.examined, scanner, search)
    page.hits.sort(key=lambda hit: hit.last)
    if page.next is not None and not _rows(run_pk, page.examined, FOREVER, 1):
        page.next = None
    return page


def search_before(run_pk: int, before: int, search: Search, limit: int) -> Page:
    """Lines that end before seq `before`, the last ones: as search_after()."""
    page, step = Page([], before, before), _Step(search)
    rows_max, bytes_max = ROWS_FIRST, BYTES_FIRST
    while page.next is not None and len(page.hits) < limit and not step.is_over:
        until = page.examined - 1
        rows = step.read(run_pk, 0, until, rows_max, bytes_max, backward=True)
        rows_max, bytes_max = min(4 * rows_max, ROWS), min(4 * bytes_max, BYTES)
        if not rows:
            page.next = None
            break
        found = _whole(run_pk, rows, until, search)
        page.examined = page.next = rows[0][0]
        room = limit - len(page.hits)
        if len(found) > room:
            first = found[-room].last
            found = _whole(run_pk, [row for row in rows if row[0] >= first], until, search)
            page.examined = page.next = first
        page.hits = found + page.hits
    if page.next is not None and not _rows(run_pk, 0, page.examined - 1, 1):
        page.next = None
    return page


def _whole(run_pk: int, rows: list[TextRow], until: int, search: Search) -> list[Hit]:
    scanner = _scanner(run_pk, rows[0][0] - 1, search)
    found = scanner.feed([row for row in rows if search.takes(row)])
    return sorted(found + _rest(run_pk, until, scanner, search), key=lambda hit: hit.last)


def _scanner(run_pk: int, after: int, search: Search) -> Scanner:
    opened = open_lines(run_pk, after, search) if after else {}
    going_on = _going_on(run_pk, after) if opened else ()
    # What goes on was left to us by whoever looked at what stands before.
    opened = {key: line._replace(is_new=key in going_on) for key, line in opened.items()}
    return Scanner(search.needle, search.show, opened, from_start=not after)


def open_lines(run_pk: int, until: int, search: Search) -> dict[Key, OpenLine]:
    """Lines that are open behind seq `until`, if the window before it holds their beginning."""
    rows = _rows(run_pk, 0, until, WINDOW, WINDOW_BYTES, search.streams, backward=True)
    is_all = len(rows) < WINDOW and sum(len(row[5]) for row in rows) < WINDOW_BYTES
    scanner = Scanner(None, search.show, from_start=is_all)
    scanner.feed([row for row in rows if search.takes(row)])
    return {key: line for key, line in scanner.open.items() if line.is_whole}


def _going_on(run_pk: int, after: int) -> set[Key]:
    """The streams and tasks that print more within the window behind a seq."""
    ahead = _rows(run_pk, after, FOREVER, WINDOW, columns="stream, task, 1, 1, 1, ''")
    return {(stream, task) for stream, task, *_ in ahead}


def _rest(run_pk: int, examined: int, scanner: Scanner, search: Search) -> list[Hit]:
    """Hits in open lines with which the next step will not go on."""
    if not any(line.is_new for line in scanner.open.values()):
        return []
    going_on = _going_on(run_pk, examined)
    if going_on:
        going_on &= set(open_lines(run_pk, examined, search))
    return scanner.rest(lambda key: key not in going_on)


@dataclass
class _Step:
    """What one step has looked at so far."""

    search: Search
    began: float = field(default_factory=time.monotonic)
    rows: int = 0
    size: int = 0

    @property
    def is_over(self) -> bool:
        return (
            self.rows >= EXAMINED_MAX
            or self.size >= BYTES_MAX
            or (self.rows > 0 and time.monotonic() - self.began >= SECONDS)
        )

    def read(self, run_pk, after, until, rows_max=None, bytes_max=None, backward=False):
        rows_max = min(rows_max or ROWS, EXAMINED_MAX - self.rows)
        streams = self.search.streams
        rows = _rows(run_pk, after, until, rows_max, bytes_max or BYTES, streams, backward)
        self.rows += len(rows)
        self.size += sum(len(row[5]) for row in rows)
        return rows

    def taken(self, rows: list[TextRow]) -> list[TextRow]:
        if not self.search.streams and self.search.task is None:
            return rows
        return [row for row in rows if self.search.takes(row)]


def _rows(
    run_pk: int,
    after: int,
    until: int,
    rows_max: int,
    bytes_max: int = BYTES,
    streams: Collection[str] = (),
    backward: bool = False,
    columns: str = _COLUMNS,
) -> list[tuple]:
    """Rows with after < seq <= until, in seq order: the first ones, or with `backward` the
    last; `rows_max`, or what `bytes_max` hold. `streams` that leave out stdout narrow it."""
    narrow = f"AND {RARE}" if streams and "o" not in streams else ""
    if narrow:
        narrow += f" AND stream IN ({', '.join(['%s'] * len(streams))})"
    keys = [chunk_key(run_pk, min(seq, FOREVER)) for seq in (after, until)]
    rows, size = [], 0
    with connection.cursor() as cursor:
        query = _BETWEEN.format(columns, narrow, "DESC" if backward else "")
        cursor.execute(query, [*keys, *(streams if narrow else ()), rows_max])
        while size < bytes_max and (some := cursor.fetchmany(FETCHED)):
            rows += some
            size += sum(len(row[5]) for row in some)
    return rows[::-1] if backward else rows
