"""A worker's recorder alone, on PostgreSQL: `python -m tests.benchmarks.scale_storing COUNT`.

Says when it is ready, waits for a line, stores COUNT chunks and tells them over Redis,
and says [begin, end] by time.monotonic(), which every process of a machine shares.
"""

import asyncio
import json
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
django.setup()

from runs.streaming import database  # noqa: E402
from runs.streaming.feed import feeds  # noqa: E402
from runs.streaming.recorder import Recorder  # noqa: E402

from .recording import AT_ONCE, make_drafts, make_run  # noqa: E402


async def record(count: int) -> list[float]:
    feeds.attach()
    run = await database.write(make_run)
    recorder = Recorder(feeds.deliver)
    recorder.start()
    recording = await recorder.open(run)
    drafts = [make_drafts(first) for first in range(0, count, AT_ONCE)]
    say("ready")
    sys.stdin.readline()
    began = time.monotonic()
    for some in drafts:
        await recording.append(some)
    await recording.flush()
    ended = time.monotonic()
    await recorder.close()
    assert recording.seq == count
    return [began, ended]


def say(what) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.setswitchinterval(0.0005)  # as a worker does
    say(asyncio.run(record(int(sys.argv[1]))))
    database.close_connections()
