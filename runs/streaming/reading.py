"""Reading what is stored: ranges by (run, seq). Nothing here loads a whole log."""

from django.db import connection

from ..fields import SEQ_BITS, chunk_key
from ..models import Run
from .wire import ROW_COLUMNS, Row

_RANGE = f"SELECT {ROW_COLUMNS} FROM runs_chunk WHERE id > %s AND id <= %s ORDER BY id LIMIT %s"
_BACKWARD = (
    f"SELECT {ROW_COLUMNS} FROM runs_chunk WHERE id > %s AND id < %s ORDER BY id DESC LIMIT %s"
)
FOREVER = 2**SEQ_BITS - 1
# A chunk may hold 64 KiB and more: a thousand of them are no page to be read at once.
PAGE_BYTES = 2 * 1024 * 1024


def rows_after(
    run_pk: int, after: int, limit: int, until: int = FOREVER, max_bytes: int = PAGE_BYTES
) -> list[Row]:
    """Rows with after < seq <= until, in seq order: `limit`, or as many as `max_bytes` hold.

    At least one, if there is one. So fewer rows than `limit` do not mean the end:
    the end is where the next call gives nothing.
    """
    with connection.cursor() as cursor:
        keys = [chunk_key(run_pk, min(seq, FOREVER)) for seq in (after, until)]
        cursor.execute(_RANGE, [*keys, limit])
        return _until_full(cursor, max_bytes)


def rows_before(run_pk: int, before: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[Row]:
    """The last rows with seq < before, in seq order: `limit`, or what `max_bytes` hold."""
    with connection.cursor() as cursor:
        keys = [chunk_key(run_pk, min(seq, FOREVER)) for seq in (0, before)]
        cursor.execute(_BACKWARD, [*keys, limit])
        return _until_full(cursor, max_bytes)[::-1]


def _until_full(cursor, max_bytes: int) -> list[Row]:
    rows, size = [], 0
    for row in cursor:
        rows.append(row)
        size += len(row[5]) + (len(row[6]) if row[6] else 0)
        if size >= max_bytes:
            break
    return rows


def seq_at(run: Run, seconds: float) -> int:
    """The last seq recorded at or before `seconds` into the run; 0 if none.

    `t` never falls as seq rises, so a binary search over seq needs no index on
    time. It steps over the hole that the output cap leaves.
    """
    low, high, t = 0, run.last_seq, round(seconds * 1e6)
    while low < high:
        middle = (low + high + 1) // 2
        # The first chunk there is from `middle` on; inside the hole, the one behind it.
        rows = rows_after(run.pk, middle - 1, 1, high)
        if not rows or rows[0][1] > t:
            high = middle - 1
        else:
            low = rows[0][0]
    return low
