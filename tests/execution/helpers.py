"""Runs carried for real: embedded dispatch with the local sandbox."""

import asyncio
import time
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.test import TransactionTestCase, override_settings

from runs.execution import dispatch
from runs.kinds import parse_spec
from runs.models import ACTIVE, Chunk, Run, Status
from runs.streaming import database
from tests.people import make_user


@override_settings(QUICKSTART=True, LOCAL_NOTEBOOK_SPARE=False)
class CarryingTestCase(TransactionTestCase):
    def setUp(self):
        self.alice = make_user("alice")

    @asynccontextmanager
    async def executing(self):
        await dispatch.start()
        try:
            yield dispatch._executor
        finally:
            await dispatch.stop()

    async def submit(self, program, kind="command", owner=None, **fields) -> Run:
        spec = parse_spec({"kind": kind, "program": program, **fields})
        return await database.write(dispatch.submit, owner or self.alice, spec)

    async def carry(self, program, kind="command", **fields) -> Run:
        return await self.ended(await self.submit(program, kind, **fields))

    async def ended(self, run, seconds=15.0) -> Run:
        return await self.until(run, lambda run: run.status not in ACTIVE, seconds)

    async def running(self, run, seconds=10.0) -> Run:
        return await self.until(run, lambda run: run.status == Status.RUNNING, seconds)

    async def printed(self, run, text, seconds=10.0) -> Run:
        return await self.until(run, lambda run: text in run.last_line, seconds)

    async def until(self, run, condition, seconds) -> Run:
        deadline = time.monotonic() + seconds
        while True:
            now = await Run.objects.aget(pk=run.pk)
            if condition(now):
                return now
            self.assertLess(time.monotonic(), deadline, f"{now.status}: {now.last_line!r}")
            await asyncio.sleep(0.01)

    @sync_to_async
    def chunks(self, run) -> list[Chunk]:
        return list(Chunk.objects.of(run.pk))

    async def text(self, run, stream="o", task=None) -> str:
        return "".join(
            chunk.text
            for chunk in await self.chunks(run)
            if chunk.stream in stream and task in (None, chunk.task)
        )
