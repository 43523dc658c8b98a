"""How runs and chunks look as JSON, encoded once and shared by every reader."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from ..models import STREAM_NAMES, Run

# Columns of a stored chunk, in the order of `Row`.
ROW_COLUMNS = "seq, t, line, stream, task, text, data"
Row = tuple[int, int, int, str, int, str, str | None]

# One channel-layer message and one step of a reader hold about this much.
BATCH_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks first_seq to last_seq without a hole, as one JSON object a line.

    `lines` has no newline at its end; a chunk's JSON holds none inside.
    """

    first_seq: int
    last_seq: int
    lines: bytes

    def after(self, seq: int) -> "Batch":
        """The part that follows `seq`, which must be below last_seq."""
        known = seq - self.first_seq + 1
        if known <= 0:
            return self
        return Batch(seq + 1, self.last_seq, self.lines.split(b"\n", known)[known])

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """(seq, JSON) of each chunk."""
        return enumerate(self.lines.split(b"\n"), start=self.first_seq)


def chunk_json(row: Row) -> bytes:
    """The contract's chunk object from a stored row."""
    seq, t, line, stream, task, text, data = row
    return orjson.dumps(
        {
            "seq": seq,
            "t": t / 1e6,
            "line": line,
            "stream": STREAM_NAMES[stream],
            "task": task,
            "text": text,
            # Stored as JSON text: copied through, never parsed and written anew.
            "data": None if data is None else orjson.Fragment(data),
        }
    )


def batches(rows: Iterable[Row]) -> Iterator[Batch]:
    """Rows in seq order as batches of about BATCH_BYTES; a hole begins a new one."""
    return joined((row[0], chunk_json(row)) for row in rows)


def joined(numbered: Iterable[tuple[int, bytes]]) -> Iterator[Batch]:
    """The same of (seq, JSON)."""
    lines: list[bytes] = []
    first = last = size = 0
    for seq, line in numbered:
        if lines and (seq != last + 1 or size >= BATCH_BYTES):
            yield Batch(first, last, b"\n".join(lines))
            lines, size = [], 0
        if not lines:
            first = seq
        lines.append(line)
        size += len(line)
        last = seq
    if lines:
        yield Batch(first, last, b"\n".join(lines))


def run_dict(run: Run) -> dict:
    """The contract's run object."""
    base = f"/api/runs/{run.public_id}"
    return {
        "id": run.public_id,
        "kind": run.kind,
        "mode": run.mode or None,
        "language": run.language or None,
        "cwd": run.cwd or None,
        "env": run.env_names,
        "plain_env": run.env_plain,
        "secrets": run.saved_secrets,
        "masked": run.masked,
        "stdin": run.stdin,
        "status": str(run.status),
        "title": run.title,
        "owner": run.owner_name,
        "program": run.program,
        "tasks": _tasks(run),
        "sandbox": run.sandbox,
        "sandbox_id": run.sandbox_id or None,
        "timeout": run.timeout,
        "created_at": _iso(run.created_at),
        "started_at": _iso(run.started_at),
        "finished_at": _iso(run.finished_at),
        "duration": duration(run),
        "exit_code": run.exit_code,
        "exit_codes": run.exit_codes,
        "error": run.error or None,
        "last_seq": run.last_seq,
        "lines": run.line_count,
        "last_line": run.last_line,
        "stalled": run.stalled,
        "waiting_for": run.waiting_for or None,
        "dropped": run.dropped,
        "output_deleted": run.output_deleted,
        "chain": run.chain or None,
        "signature": run.signature or None,
        "urls": {
            "page": f"/runs/{run.public_id}/",
            "events": f"{base}/events",
            "websocket": f"/ws/runs/{run.public_id}/",
            "chunks": f"{base}/chunks",
            "cancel": f"{base}/cancel",
            "rerun": f"{base}/rerun",
            "export": f"{base}/export.ndjson",
        },
    }


def run_json(run: Run) -> bytes:
    return orjson.dumps(run_dict(run))


def duration(run: Run) -> float | None:
    """Seconds from start to end, or to now while it runs; None before the start."""
    if run.started_at is None:
        return None
    end = run.finished_at or datetime.now(UTC)
    return max(0.0, round((end - run.started_at).total_seconds(), 3))


def _tasks(run: Run) -> list[dict]:
    if run.kind != "parallel":
        return []
    states = zip(run.program, run.tasks, strict=False)
    return [{"task": n, "program": text, **state} for n, (text, state) in enumerate(states, 1)]


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
