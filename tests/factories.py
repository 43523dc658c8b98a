"""Runs and chunks put into the database as the recorder would leave them."""

from datetime import UTC, datetime, timedelta

from runs.kinds import Spec
from runs.models import ACTIVE, STREAM_CODES, Chunk, Run, Status

STARTED = datetime(2025, 1, 31, 12, 0, 0, tzinfo=UTC)


def make_run(owner, status=Status.SUCCEEDED, chunks=(), **fields) -> Run:
    """A run in any status with a stored log.

    A chunk is its text (on stdout), or a dict of chunk fields with the stream's
    name; the nth is recorded n-1 tenths of a second after the start. `fields` are
    those of Run; `env` is sealed as a launch does it.
    """
    spec_fields = {name: fields.pop(name) for name in Spec.__dataclass_fields__ if name in fields}
    spec = Spec(**{"kind": "command", "program": "echo hello", "title": "echo hello"} | spec_fields)
    run = Run.objects.launch(owner, spec)
    rows = make_chunks(run, chunks)
    final = status not in ACTIVE
    values = {
        "status": status,
        "started_at": None if status == Status.QUEUED else STARTED,
        "finished_at": STARTED + timedelta(seconds=len(rows)) if final else None,
        "exit_code": {Status.SUCCEEDED: 0, Status.FAILED: 1}.get(status),
        "last_seq": rows[-1].seq if rows else 0,
        "line_count": sum(row.text.count("\n") for row in rows),
        "output_bytes": sum(len(row.text.encode()) for row in rows),
        "last_line": rows[-1].text.strip()[-200:] if rows else "",
    }
    if final:
        values["env_sealed"] = ""
    Run.objects.filter(pk=run.pk).update(**values | fields)
    return Run.objects.get(pk=run.pk)


def make_chunks(run: Run, chunks, first_seq: int = 1) -> list[Chunk]:
    rows, line = [], 0
    for number, chunk in enumerate(chunks):
        given = {"text": chunk} if isinstance(chunk, str) else dict(chunk)
        stream = STREAM_CODES[given.pop("stream", "stdout")]
        place = {"seq": first_seq + number, "t": number * 100_000, "line": line}
        rows.append(Chunk(**{"run": run, "stream": stream, **place, **given}))
        line += rows[-1].text.count("\n")
    Chunk.objects.bulk_create(rows, batch_size=5_000)
    return rows
