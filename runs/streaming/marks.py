"""What stands out in a run: stages, progress, tool calls, results, errors, our remarks.

Of many reports of one thing only those are marks that tell something new, so that a
program which reports a hundred thousand times has a few marks.
"""

from collections.abc import Iterator
from typing import NamedTuple

import orjson
from django.db import connection

from ..fields import chunk_key
from ..models import STREAM_CODES
from .reading import FOREVER, RARE

LABEL, NAME = 120, 60
EXAMINED_MAX = 5_000
# So far back a step looks for what has been told already.
WINDOW = 1_000
# Larger events are data, not reports.
DATA_MAX = 64 * 1024

_STREAMS = {STREAM_CODES[name]: name for name in ("event", "result", "error", "system")}
_CODES = ", ".join(f"'{code}'" for code in _STREAMS)
_QUERY = (
    f"SELECT seq, t, line, stream, task, substr(text, 1, {2 * LABEL}), "
    f"CASE WHEN stream = 'r' OR length(data) > {DATA_MAX} THEN NULL ELSE data END "
    f"FROM runs_chunk WHERE id > %s AND id <= %s AND {RARE} AND stream IN ({_CODES}) "
    "ORDER BY id {} LIMIT %s"
)


class Mark(NamedTuple):
    """`kind`: stage, progress, tool, result, error or gap (a remark of ours)."""

    seq: int
    t: float
    line: int
    task: int
    kind: str
    label: str


def marks_after(run_pk: int, after: int, limit: int) -> tuple[list[Mark], int | None]:
    """Marks behind seq `after`, and what to go on after; None when nothing lies beyond."""
    telling = _Telling()
    if after:
        known = _rows(run_pk, 0, after, WINDOW, "DESC")
        for row in reversed(known):
            telling.mark_of(row)
    found: list[Mark] = []
    examined = after
    rows = _rows(run_pk, after, FOREVER, EXAMINED_MAX + 1)
    for row in rows[:EXAMINED_MAX]:
        if len(found) == limit:
            return found, examined
        examined = row[0]
        if mark := telling.mark_of(row):
            found.append(mark)
    return found, examined if len(rows) > EXAMINED_MAX else None


def _rows(run_pk: int, after: int, until: int, limit: int, order: str = "") -> list[tuple]:
    with connection.cursor() as cursor:
        keys = [chunk_key(run_pk, min(seq, FOREVER)) for seq in (after, until)]
        cursor.execute(_QUERY.format(order), [*keys, limit])
        return cursor.fetchall()


class _Telling:
    """Remembers what has been told, to tell what is new."""

    def __init__(self):
        self._statuses: dict[tuple[int, str], str] = {}
        self._tenths: dict[tuple[int, str], int] = {}

    def mark_of(self, row: tuple) -> Mark | None:
        seq, t, line, stream, task, text, data = row
        parsed = orjson.loads(data) if data else None
        kind = _STREAMS[stream]
        if kind == "event":
            told = next(self._event(task, parsed), None) if isinstance(parsed, dict) else None
        elif kind == "system":
            told = "gap", text
        elif kind == "error":
            told = "error", _error_label(parsed) or text
        else:
            told = "result", text
        return Mark(seq, t / 1e6, line + 1, task, told[0], _label(told[1])) if told else None

    def _event(self, task: int, event: dict) -> Iterator[tuple[str, str]]:
        type_name, body = _parts(event)
        if isinstance(stage := body.get("stage"), str):
            yield from self._stage(task, stage[:NAME], body)
        elif type_name == "tool_use":
            yield "tool", _first_text(body, "name", "tool") or "tool"
        elif type_name in ("error", "error_msg"):
            yield "error", _first_text(body, "message", "error") or type_name
        elif type_name == "result":
            yield "result", _first_text(body, "result", "message", "status")
        else:
            yield from self._progress(task, type_name[:NAME], body)

    def _stage(self, task: int, name: str, body: dict) -> Iterator[tuple[str, str]]:
        status = _first_text(body, "status")[:NAME]
        if self._statuses.get((task, name)) != status:
            self._statuses[task, name] = status
            self._tenths.pop((task, name), None)
            yield "stage", name if status in ("", "running") else f"{name} {status}"
        else:
            yield from self._progress(task, name, body)

    def _progress(self, task: int, name: str, body: dict) -> Iterator[tuple[str, str]]:
        if (percent := percent_of(body)) is None:
            return
        tenth = int(percent // 10)
        # Only upwards: two bars that take turns would otherwise mark each of their steps.
        if tenth > self._tenths.get((task, name), 0):
            self._tenths[task, name] = tenth
            yield "progress", f"{percent:.0f} %"


def _parts(event: dict) -> tuple[str, dict]:
    """The type of an event and what it says: its data, or all of it where it has none."""
    type_name = event.get("type") if isinstance(event.get("type"), str) else "stage"
    body = event if isinstance(event.get("stage"), str) else event.get("data")
    return type_name, body if isinstance(body, dict) else event


def percent_of(body: dict) -> float | None:
    """How far along, 0 to 100; None if it does not say. static/runs/events.js says the same."""
    for name in ("percent", "percentage", "progress"):
        value = body.get(name)
        if _is_number(value) and 0 <= value <= 100:
            return value * 100 if 0 < value < 1 else value
    done, total = body.get("current"), body.get("total")
    if _is_number(done) and _is_number(total) and 0 <= done <= total and total > 0:
        return 100 * done / total
    return None


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _error_label(data) -> str:
    if not isinstance(data, dict):
        return ""
    return ": ".join(str(data[name]) for name in ("name", "value") if data.get(name))


def _first_text(body: dict, *names: str) -> str:
    return next((body[name] for name in names if isinstance(body.get(name), str)), "")


def _label(text: str) -> str:
    """One line, cut."""
    line = " ".join(text[: 4 * LABEL].split())
    return line if len(line) <= LABEL else line[: LABEL - 1] + "…"
