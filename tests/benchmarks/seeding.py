"""Long logs, put into the database directly: `python -m tests.benchmarks.seeding N [OTHERS]`.

Prints the id of a finished run of N chunks. OTHERS chunks belong to other runs, half
of them stored before it and half behind it.
"""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from runs.fields import chunk_key  # noqa: E402
from runs.kinds import Spec  # noqa: E402
from runs.models import STREAM_CODES, Run, Status  # noqa: E402

OTHER_CHUNKS = 500_000
STEP_MICROSECONDS = 1_000
STARTED = datetime(2025, 1, 31, 12, 0, 0, tzinfo=UTC)
INSERT = (
    "INSERT INTO runs_chunk (id, run_id, seq, t, line, stream, task, text, data) "
    "VALUES (%s, %s, %s, %s, %s, %s, 0, %s, NULL)"
)


def make_log(count: int) -> Run:
    owner = get_user_model().objects.get()
    program = f"seq 1 {count}"
    run = Run.objects.launch(owner, Spec(kind="command", program=program, title=program))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(INSERT, rows(run, count))
        Run.objects.filter(pk=run.pk).update(
            status=Status.SUCCEEDED, exit_code=0, last_seq=count, line_count=count,
            output_bytes=40 * count, started_at=STARTED, env_sealed="",
            finished_at=STARTED + timedelta(microseconds=STEP_MICROSECONDS * count),
        )  # fmt: skip
    return run


def rows(run: Run, count: int) -> Iterator[tuple]:
    stdout = STREAM_CODES["stdout"]
    for seq in range(1, count + 1):
        text = f"This is line {seq:07} of a log that is long.\n"
        yield chunk_key(run.pk, seq), run.pk, seq, STEP_MICROSECONDS * seq, seq - 1, stdout, text


def make_others(count: int) -> None:
    while count > 0:
        make_log(min(count, OTHER_CHUNKS))
        count -= OTHER_CHUNKS


def main(count: str, others: str = "0") -> None:
    make_others(int(others) // 2)
    run = make_log(int(count))
    make_others(int(others) - int(others) // 2)
    print(run.public_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
