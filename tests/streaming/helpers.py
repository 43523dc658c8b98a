"""What the tests of recorder, feed and follow share."""

import asyncio
import time

import orjson

from runs.models import STREAM_CODES, Run, Status
from runs.streaming import database
from runs.streaming.feed import announce
from runs.streaming.follow import Ended, Output, follow
from runs.streaming.lines import Draft
from tests.factories import make_run

STDOUT = STREAM_CODES["stdout"]


def make_held_run(owner, **fields) -> Run:
    """A running run that an executor named "us" holds."""
    run = make_run(owner, status=Status.RUNNING)
    Run.objects.filter(pk=run.pk).update(executor="us", epoch=1, **fields)
    return Run.objects.get(pk=run.pk)


def drafts(*texts, stream=STDOUT, task=0, at=None):
    """Drafts far enough apart not to be joined."""
    at = time.monotonic() if at is None else at
    return [Draft(task, stream, text, None, at + n) for n, text in enumerate(texts)]


async def finish(run, status=Status.SUCCEEDED):
    assert await database.write(Run.objects.finish, run, status)
    announce(await database.read(_fresh, run.pk))


def _fresh(pk):
    return Run.objects.get(pk=pk)


def texts(item: Output) -> list[str]:
    return [orjson.loads(line)["text"] for batch in item.batches for _, line in batch.numbered()]


async def take(viewer, count: int, seconds: float = 5.0) -> list[str]:
    """The texts of the next `count` chunks of a follow()."""
    found: list[str] = []
    async with asyncio.timeout(seconds):
        async for item in viewer:
            if isinstance(item, Output):
                found += texts(item)
            if len(found) >= count or isinstance(item, Ended):
                break
    return found


async def read_to_end(run_pk: int, after: int = 0, seconds: float = 10.0) -> tuple[list[int], str]:
    """(seqs, text) of everything that a viewer of the run gets until its end."""
    seqs, text = [], ""
    async with asyncio.timeout(seconds):
        async for item in follow(run_pk, after):
            if isinstance(item, Output):
                for batch in item.batches:
                    for seq, line in batch.numbered():
                        chunk = orjson.loads(line)
                        assert chunk["seq"] == seq
                        seqs.append(seq)
                        text += chunk["text"]
    return seqs, text
