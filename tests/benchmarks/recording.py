"""The recorder alone: `python -m tests.benchmarks.recording` prints chunks per second.

With numbering, storing, encoding and publishing to a feed that somebody has joined.
The streams alternate, so that no two chunks are joined.
"""

import asyncio
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402

from runs.kinds import Spec  # noqa: E402
from runs.models import STREAM_CODES, Run, Status  # noqa: E402
from runs.streaming import database  # noqa: E402
from runs.streaming.feed import feeds  # noqa: E402
from runs.streaming.lines import Draft  # noqa: E402
from runs.streaming.recorder import Recorder  # noqa: E402

CHUNKS = 600_000
AT_ONCE = 1_000


def make_run() -> Run:
    owner = get_user_model().objects.get()
    run = Run.objects.launch(owner, Spec(kind="command", program="true", title="true"))
    Run.objects.filter(pk=run.pk).update(status=Status.RUNNING, epoch=1)
    return Run.objects.get(pk=run.pk)


def make_drafts(first: int) -> list[Draft]:
    streams = STREAM_CODES["stdout"], STREAM_CODES["stderr"]
    now = time.monotonic()
    return [
        Draft(0, streams[number % 2], f"This is line {number} of the log.\n", None, now)
        for number in range(first, first + AT_ONCE)
    ]


async def record() -> float:
    run = await database.write(make_run)
    recorder = Recorder(feeds.deliver)
    recorder.start()
    recording = await recorder.open(run)
    drafts = [make_drafts(first) for first in range(0, CHUNKS, AT_ONCE)]
    async with feeds.join(run.pk):
        began = time.monotonic()
        for some in drafts:
            await recording.append(some)
        await recording.flush()
        seconds = time.monotonic() - began
    await recorder.close()
    assert recording.seq == CHUNKS
    return CHUNKS / seconds


def main() -> None:
    sys.setswitchinterval(0.0005)  # as the server does
    print(asyncio.run(record()))
    database.close_connections()


if __name__ == "__main__":
    main()
