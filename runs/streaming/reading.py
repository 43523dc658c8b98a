"""Reading what is stored: ranges by (run, seq). Nothing here loads a whole log."""

from django.db import connection

from ..models import Run
from .wire import ROW_COLUMNS, Row

_RANGE = (
    f"SELECT {ROW_COLUMNS} FROM runs_chunk WHERE run_id = %s AND seq > %s AND seq <= %s "
    "ORDER BY seq LIMIT %s"
)
_BACKWARD = (
    f"SELECT {ROW_COLUMNS} FROM runs_chunk WHERE run_id = %s AND seq < %s "
    "ORDER BY seq DESC LIMIT %s"
)
FOREVER = 2**62


def rows_after(run_pk: int, after: int, limit: int, until: int = FOREVER) -> list[Row]:
    """At most `limit` rows with after < seq <= until, in seq order."""
    with connection.cursor() as cursor:
        cursor.execute(_RANGE, [run_pk, after, until, limit])
        return cursor.fetchall()


def rows_before(run_pk: int, before: int, limit: int) -> list[Row]:
    """The last `limit` rows with seq < before, in seq order."""
    with connection.cursor() as cursor:
        cursor.execute(_BACKWARD, [run_pk, before, limit])
        return cursor.fetchall()[::-1]


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
