"""Reading what is stored: ranges by (run, seq). Nothing here loads a whole log."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from django.db import connection

from ..fields import SEQ_BITS, chunk_key
from ..models import Run
from .wire import ROW_COLUMNS, Row

_RANGE = f"SELECT {ROW_COLUMNS} FROM runs_chunk WHERE id > %s AND id <= %s ORDER BY id LIMIT %s"
_BACKWARD = (
    f"SELECT {ROW_COLUMNS} FROM runs_chunk WHERE id > %s AND id < %s ORDER BY id DESC LIMIT %s"
)
# In the words of the index, which is used only for them.
RARE = "NOT (stream = 'o')"
# Without the text, which may be long.
_PLACE = "SELECT seq, t, line FROM runs_chunk WHERE id > %s AND id <= %s ORDER BY id LIMIT 1"
FOREVER = 2**SEQ_BITS - 1
# A chunk may hold 64 KiB and more: a thousand of them are no page to be read at once.
PAGE_BYTES = 2 * 1024 * 1024


def rows_after(
    run_pk: int,
    after: int,
    limit: int,
    until: int = FOREVER,
    max_bytes: int = PAGE_BYTES,
    streams: Collection[str] = (),
) -> list[Row]:
    """Rows with after < seq <= until, in seq order: `limit`, or as many as `max_bytes` hold.

    At least one, if there is one. So fewer rows than `limit` do not mean the end:
    the end is where the next call gives nothing. `streams`: only these, by their codes;
    it is quick however much of stdout lies between, which must not be one of them.
    """
    with connection.cursor() as cursor:
        keys = [chunk_key(run_pk, min(seq, FOREVER)) for seq in (after, until)]
        cursor.execute(_only(streams, _RANGE), [*keys, *streams, limit])
        return _until_full(cursor, max_bytes)


def rows_before(
    run_pk: int,
    before: int,
    limit: int,
    max_bytes: int = PAGE_BYTES,
    streams: Collection[str] = (),
) -> list[Row]:
    """The last rows with seq < before, in seq order: `limit`, or what `max_bytes` hold."""
    with connection.cursor() as cursor:
        keys = [chunk_key(run_pk, min(seq, FOREVER)) for seq in (0, before)]
        cursor.execute(_only(streams, _BACKWARD), [*keys, *streams, limit])
        return _until_full(cursor, max_bytes)[::-1]


def _only(streams: Collection[str], query: str) -> str:
    if not streams:
        return query
    condition = f"{RARE} AND stream IN ({', '.join(['%s'] * len(streams))})"
    return query.replace(" ORDER BY", f" AND {condition} ORDER BY")


def _until_full(cursor, max_bytes: int) -> list[Row]:
    rows, size = [], 0
    for row in cursor:
        rows.append(row)
        size += len(row[5]) + (len(row[6]) if row[6] else 0)
        if size >= max_bytes:
            break
    return rows


def seq_at(run: Run, seconds: float) -> int:
    """The last seq recorded at or before `seconds` into the run; 0 if none."""
    t = round(seconds * 1e6)
    place = last_where(run.pk, 0, run.last_seq, lambda place: place.t <= t)
    return place.seq if place else 0


def seq_before_line(run: Run, number: int) -> int:
    """The last seq before the chunk in which line `number` begins, counted from 1.

    Lines are counted as `line` does, over all streams. For one beyond the end, or in
    the hole that the output cap left, the last seq before the place where it would be.
    """
    newlines = number - 1
    # It ends the line before, and may hold the beginning of ours behind that.
    place = last_where(run.pk, 0, run.last_seq, lambda place: place.line < newlines)
    if place is None:
        return 0
    missing = newlines - place.line
    for row in rows_after(run.pk, place.seq - 1, 1, place.seq):
        parts = row[5].split("\n", missing)
        if len(parts) > missing and parts[-1]:
            return place.seq - 1
    return place.seq


class Place(NamedTuple):
    """Where a chunk stands: microseconds since the start, newlines before it."""

    seq: int
    t: int
    line: int


def place_after(run_pk: int, after: int, until: int) -> Place | None:
    """Where the first chunk with after < seq <= until stands."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACE, [chunk_key(run_pk, after), chunk_key(run_pk, until)])
        row = cursor.fetchone()
    return Place(*row) if row else None


def last_where(run_pk: int, low: int, high: int, fits: Callable[[Place], bool]) -> Place | None:
    """The last chunk with low < seq <= high that fits, where all that fit come first.

    Neither `t` nor `line` ever falls as seq rises, so a binary search over seq needs
    no index on them. It steps over the hole that the output cap leaves.
    """
    found = None
    with connection.cursor() as cursor:
        while low < high:
            middle = (low + high + 1) // 2
            # The first chunk there is from `middle` on; inside the hole, the one behind it.
            keys = chunk_key(run_pk, middle - 1), chunk_key(run_pk, high)
            cursor.execute(_PLACE, keys)
            row = cursor.fetchone()
            if row is None or not fits(place := Place(*row)):
                high = middle - 1
            else:
                found, low = place, place.seq
    return found
