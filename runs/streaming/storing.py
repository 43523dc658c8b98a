"""One transaction of the recorder: the runs' rows first, then their chunks."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import orjson
from django.conf import settings
from django.db import connection, transaction

from ..fields import chunk_key
from ..models import HELD, STREAM_CODES
from .chain import Edges, values_after
from .lines import utf8_length
from .masking import Masker
from .wire import Row, chunk_json

if settings.IS_SHARED:
    from psycopg import Cursor

# The condition on the epoch is what keeps a replaced executor from writing; the
# one on last_seq tells a commit that went through unnoticed from one that did not.
_HELD = ", ".join(f"'{status.value}'" for status in HELD)
# What the recorder keeps on a run's row, as Work.advance() gives it.
_KEPT = {
    "last_seq": "bigint",
    "line_count": "bigint",
    "output_bytes": "bigint",
    "last_line": "text",
    "dropped": "jsonb",
    "offsets": "jsonb",
    "masked": "bigint",
    "chain": "text",
}
_NAMES = ", ".join(_KEPT)
_GIVEN = ", ".join(f"{name} = given.{name}" for name in _KEPT)
# An array of JSON texts becomes one of jsonb in two steps.
_ARRAYS = ", ".join(
    "%s::text[]::jsonb[]" if type == "jsonb" else f"%s::{type}[]" for type in _KEPT.values()
)
_ADVANCE = (
    f"UPDATE runs_run SET {', '.join(f'{name} = %s' for name in _KEPT)} "
    f"WHERE id = %s AND epoch = %s AND last_seq = %s AND status IN ({_HELD})"
)
_STATE = "SELECT epoch, last_seq FROM runs_run WHERE id = %s"
_LOCK = (
    "SELECT id, epoch, last_seq FROM runs_run WHERE id = ANY(%s) AND status = ANY(%s) "
    "ORDER BY id FOR UPDATE"
)
_ADVANCE_ALL = (
    f"UPDATE runs_run SET {_GIVEN} FROM unnest({_ARRAYS}, %s::bigint[]) AS given({_NAMES}, id) "
    "WHERE runs_run.id = given.id"
)
_CHUNK = ("id", "run_id", "seq", "t", "line", "stream", "task", "text", "data")
_COLUMNS = f"({', '.join(_CHUNK)})"
_ADVANCED = (*_KEPT, "id", "epoch", "previous_seq")
_INSERT = f"INSERT INTO runs_chunk {_COLUMNS} VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
_COPY = f"COPY runs_chunk {_COLUMNS} FROM STDIN (FORMAT BINARY)"
# The same in one statement. Few rows only: BEGIN, each statement, COPY and COMMIT are a way
# to the server and back each, but for many rows COPY is quicker all the same. Prepared, as
# its plan takes longer than its work, and with JSON, as psycopg makes arrays in Python.
FEW, FEW_CHARS = 256, 128 * 1024
_STORE_FEW = f"""
WITH given_run AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json) AS given(
        {", ".join(f"{name} {type}" for name, type in _KEPT.items())},
        id bigint, epoch int, previous_seq bigint)
), locked AS MATERIALIZED (
    SELECT id FROM runs_run WHERE id IN (SELECT id FROM given_run) AND status IN ({_HELD})
    ORDER BY id FOR UPDATE
), advanced AS (
    UPDATE runs_run SET {_GIVEN}
    FROM locked JOIN given_run AS given USING (id)
    WHERE runs_run.id = locked.id AND runs_run.epoch = given.epoch
        AND runs_run.last_seq = given.previous_seq
    RETURNING runs_run.id
), stored AS (
    INSERT INTO runs_chunk {_COLUMNS}
    SELECT given.* FROM json_to_recordset(%s::json) AS given(
        id bigint, run_id bigint, seq bigint, t bigint, line bigint, stream text,
        task smallint, text text, data text) JOIN advanced ON advanced.id = given.run_id
)
SELECT id FROM advanced
"""
_DROP = "DELETE FROM runs_chunk WHERE id BETWEEN %s AND %s"

# Which output of the process a stream's chunks are.
SOURCES = {
    STREAM_CODES["stdout"]: "stdout",
    STREAM_CODES["event"]: "stdout",
    STREAM_CODES["stderr"]: "stderr",
}
# {"task:stdout": [lines, characters after the last of them]}
Offsets = dict[str, list[int]]


@dataclass(slots=True)
class Work:
    """One run's part of a transaction: new rows and what its own row becomes."""

    run_pk: int
    epoch: int
    previous_seq: int
    rows: list[Row]
    output_bytes: int
    last_line: str
    dropped: dict | None = None
    drop: tuple[int, int] | None = None
    # Where a successor would go on, before and after these rows; None: not to be counted.
    offsets_before: Offsets | None = None
    offsets: Offsets | None = None
    maskers: Mapping[str, Masker] = field(default_factory=dict)
    # How often something was masked in the run by now.
    masked: int = 0
    # The rows as JSON, and the chain's value before them and after each; see chain.py.
    # Without values the run was begun before there were chains.
    lines: list[bytes] = field(default_factory=list)
    value_before: bytes = b""
    values: list[bytes] = field(default_factory=list)
    edges: Edges | None = None
    is_replaced: bool = False

    @property
    def last_seq(self) -> int:
        return self.rows[-1][0]

    def with_keys(self) -> list[tuple]:
        """Parameters of _INSERT."""
        run_pk, base = self.run_pk, chunk_key(self.run_pk, 0)
        return [(base + row[0], run_pk, *row) for row in self.rows]

    def advance(self) -> list:
        """Parameters of _ADVANCE."""
        last = self.rows[-1]
        return [
            last[0],
            last[2] + last[5].count("\n"),
            self.output_bytes,
            self.last_line,
            json.dumps(self._dropped_with_chain()) if self.dropped else None,
            json.dumps(dict(self._own_offsets())),
            self.masked,
            self.values[-1].hex() if self.values else "",
            self.run_pk,
            self.epoch,
            self.previous_seq,
        ]

    def is_stored(self, state: tuple[int, int] | None) -> bool:
        """Whether a row's (epoch, last_seq) says that a commit of this very work went
        through and only its answer was lost."""
        return state == (self.epoch, self.last_seq)

    def rechain(self, before: bytes) -> None:
        """Compute the chain's values anew, from the one before these rows."""
        if not self.values:
            return
        self.values = values_after(before, self.lines)
        if self.edges:
            self.edges.keep(self.previous_seq + 1, self.values)

    def _dropped_with_chain(self) -> dict:
        if not self.values or not self.edges:
            return self.dropped
        before, after = self.dropped["from_seq"] - 1, self.dropped["to_seq"]
        return self.dropped | {
            "chain_before": self.edges.values[before].hex(),
            "chain_after": self.edges.values[after].hex(),
        }

    def _own_offsets(self) -> Iterator[tuple[str, list[int]]]:
        """`offsets` as places in the program's own text, not in the masked one."""
        for key, (lines, chars) in (self.offsets or {}).items():
            masker = self.maskers.get(key)
            shift = masker.shifts.get((lines, chars), 0) if masker else 0
            yield key, [lines, chars + shift]


def store(works: list[Work]) -> set[int]:
    """Store all of it or nothing; the pks of runs that somebody else holds now.

    Raises what the database raises; a caller may then store the same works again.
    """
    if not works:
        return set()  # all that was to be stored is of runs that were lost meanwhile
    # In id order, as every other statement that locks several runs.
    works = sorted(works, key=lambda work: work.run_pk)
    on_postgresql = connection.vendor == "postgresql"
    if on_postgresql and _are_few(works):
        return _store_few(works)
    with transaction.atomic(), connection.cursor() as cursor:
        advance, insert = (_advance_all, _copy) if on_postgresql else (_advance_each, _insert)
        todo, lost = advance(cursor, works)
        if todo:
            insert(cursor, (row for work in todo for row in work.with_keys()))
        for work in todo:
            if work.drop:
                cursor.execute(_DROP, [chunk_key(work.run_pk, seq) for seq in work.drop])
    return lost


def _advance_each(cursor, works: list[Work]) -> tuple[list[Work], set[int]]:
    """(works that are ours to store, pks of runs that are no longer ours)."""
    todo, lost = [], set()
    for work in works:
        cursor.execute(_ADVANCE, work.advance())
        if cursor.rowcount == 1:
            todo.append(work)
            continue
        if _is_lost(cursor, work):
            lost.add(work.run_pk)
    return todo, lost


def _is_lost(cursor, work: Work) -> bool:
    cursor.execute(_STATE, [work.run_pk])
    return not work.is_stored(cursor.fetchone())


def _advance_all(cursor, works: list[Work]) -> tuple[list[Work], set[int]]:
    """The same in two statements: each costs a way to the server and back."""
    cursor.execute(_LOCK, [[work.run_pk for work in works], list(HELD)])
    states = {pk: (epoch, last_seq) for pk, epoch, last_seq in cursor.fetchall()}
    todo = [w for w in works if states.get(w.run_pk) == (w.epoch, w.previous_seq)]
    ours = {w.run_pk for w in works if w.is_stored(states.get(w.run_pk))}
    lost = {w.run_pk for w in works} - {w.run_pk for w in todo} - ours
    if todo:
        # Without the epoch and the seq before: the rows are locked and were looked at.
        columns = zip(*(work.advance()[:-2] for work in todo), strict=True)
        cursor.execute(_ADVANCE_ALL, [list(column) for column in columns])
    return todo, lost


def _are_few(works: list[Work]) -> bool:
    if row_count(works) > FEW or any(work.drop for work in works):
        return False
    return sum(len(line) for work in works for line in work.lines) <= FEW_CHARS


def _given(works: list[Work]) -> list[str]:
    """Parameters of _STORE_FEW."""
    runs = [dict(zip(_ADVANCED, work.advance(), strict=True)) for work in works]
    for run in runs:
        # They are JSON already.
        run["dropped"] = run["dropped"] and orjson.Fragment(run["dropped"])
        run["offsets"] = orjson.Fragment(run["offsets"])
    chunks = [dict(zip(_CHUNK, row, strict=True)) for work in works for row in work.with_keys()]
    return [orjson.dumps(rows).decode() for rows in (runs, chunks)]


def _store_few(works: list[Work]) -> set[int]:
    given = _given(works)
    connection.ensure_connection()
    # Django's own cursors send every value as part of the statement: nothing to prepare.
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        stored = {pk for (pk,) in cursor.execute(_STORE_FEW, given, prepare=True)}
    others = [work for work in works if work.run_pk not in stored]
    if not others:
        return set()
    with connection.cursor() as cursor:
        return {work.run_pk for work in others if _is_lost(cursor, work)}


def _insert(cursor, rows: Iterable[tuple]) -> None:
    cursor.executemany(_INSERT, list(rows))


def _copy(cursor, rows: Iterable[tuple]) -> None:
    with cursor.copy(_COPY) as copy:
        copy.set_types(["int8", "int8", "int8", "int8", "int8", "text", "int2", "text", "text"])
        for row in rows:
            copy.write_row(row)


def halves(works: list[Work]) -> tuple[list[Work], list[Work]]:
    """Two parts to be stored one after the other, to find a row that cannot be."""
    if len(works) > 1:
        middle = len(works) // 2
        return works[:middle], works[middle:]
    (work,) = works
    middle = len(work.rows) // 2
    first = replace(
        work, rows=work.rows[:middle], drop=None,
        lines=work.lines[:middle], values=work.values[:middle],
    )  # fmt: skip
    first.offsets = advanced(work.offsets_before, first.rows)
    second = replace(
        work, rows=work.rows[middle:], previous_seq=first.last_seq, offsets_before=first.offsets,
        lines=work.lines[middle:], values=work.values[middle:],
        value_before=first.values[-1] if first.values else b"",
    )  # fmt: skip
    return [first], [second]


def advanced(offsets: Offsets | None, rows: Iterable[Row]) -> Offsets | None:
    """`offsets` behind the program's own output in `rows`."""
    if offsets is None:
        return None
    offsets = dict(offsets)
    for _, _, _, stream, task, text, _ in rows:
        if source := SOURCES.get(stream):
            lines, chars = offsets.get(f"{task}:{source}", (0, 0))
            newlines = text.count("\n")
            chars = len(text) - text.rfind("\n") - 1 if newlines else chars + len(text)
            offsets[f"{task}:{source}"] = [lines + newlines, chars]
    return offsets


def row_count(works: Iterable[Work]) -> int:
    return sum(len(work.rows) for work in works)


def remark_on(row: Row, why: str) -> Row:
    """What is said in the place of a row that cannot be stored."""
    seq, t, line, _, task, text, data = row
    size = utf8_length(text) + len(data or "")
    remark = f"{size:,} bytes of output could not be stored: {why}\n"
    return seq, t, line, STREAM_CODES["system"], task, remark, None


def replace_row(work: Work, why: str) -> None:
    """Put a remark in the place of the one row that the database refuses."""
    work.rows[0] = remark_on(work.rows[0], why)
    work.lines[0] = chunk_json(work.rows[0])
    work.is_replaced = True
