"""Ending a run in E2B: in every phase, and never leaving a sandbox."""

import asyncio
import time
from unittest import mock

from runs.sandboxes.base import Launch, Process

from .e2b_case import E2BCase
from .support import until
from .test_e2b_trouble import COUNT, refusal


class EndTests(E2BCase):
    async def test_kill_while_it_starts(self):
        self.double.fault("Start", delay=5)
        async with self.backend() as backend, self.command(backend, "true") as run:
            await self.eventually(lambda: self.double.calls.get("Start"))
            started = time.monotonic()
            await run.sandbox.kill()
            self.assertEqual(await run.codes(1), [None])
            self.assertLess(time.monotonic() - started, 1)
        self.assert_no_sandbox_is_left(backend)

    async def test_kill_while_output_is_not_taken(self):
        async with self.backend() as backend, self.command(backend, "yes", limit=4096) as run:
            run.taking.clear()
            await until(lambda: run.output.full)
            started = time.monotonic()
            await run.sandbox.kill()
            async with asyncio.timeout(1):
                self.assertEqual(await run.run, [None])
            self.assertLess(time.monotonic() - started, 1)

    async def test_kill_while_the_connection_is_lost(self):
        self.double.fault("Start", frames=10, then="cut")
        self.double.fault("Start", times=100, **refusal(503))
        async with (
            self.backend(patience_seconds=30) as backend,
            self.command(backend, COUNT) as run,
        ):
            await self.eventually(lambda: self.double.calls.get("Start", 0) > 2)
            await run.sandbox.kill()
            self.assertEqual(await run.codes(1), [None])
        self.assert_no_sandbox_is_left(backend)

    async def test_kill_before_it_starts(self):
        async with self.backend() as backend:
            launch = Launch("r", "alice", (Process(0, "bash", "true"), Process(1, "bash", "true")))
            sandbox = await backend.create(launch)
            await sandbox.kill()
            self.assertEqual(await sandbox.run(None, None), [None, None])
        self.assertNotIn("Start", self.double.calls)

    async def test_kill_while_e2b_takes_its_time(self):
        self.double.fault("kill", delay=3)
        async with self.backend() as backend, self.command(backend, "sleep 60") as run:
            await self.eventually(lambda: self.double.sandboxes[0]["pids"])
            started = time.monotonic()
            await run.sandbox.kill()
            self.assertEqual(await run.codes(1), [None])
            self.assertLess(time.monotonic() - started, 1.5)
        self.assert_no_sandbox_is_left(backend)

    async def test_whoever_ends_it_is_cancelled(self):
        async with self.backend() as backend, self.command(backend, "echo up; sleep 60") as run:
            await run.printed("up")
            closing = asyncio.ensure_future(run.sandbox.close())
            await asyncio.sleep(0)
            closing.cancel()
            await self.eventually(lambda: not self.double.sandboxes)

    async def test_output_that_is_on_its_way_when_it_is_killed(self):
        program = "while :; do echo up; sleep 0.01; done"
        async with self.backend() as backend, self.command(backend, program) as run:
            await run.printed("up")
            with mock.patch.object(run.sandbox._life, "end", mock.AsyncMock()):
                seen = len(run.text())
                await run.sandbox.kill()
            self.assertGreater(len(run.text()), seen + 6)

    async def test_a_kill_that_fails_is_repeated(self):
        # The SDK itself repeats it three times.
        self.double.fault("kill", times=4, **refusal(503))
        async with self.backend() as backend:
            with self.assertLogs("runs.sandboxes.e2b_life", "WARNING"):
                self.assertEqual(await self.outcome(backend, "echo up"), (0, "up\n", ""))
            await self.eventually(lambda: not self.double.sandboxes)

    async def test_every_way_out_kills_the_sandbox(self):
        for program in ("true", "exit 3"):
            async with self.backend() as backend:
                await self.outcome(backend, program)
                self.assert_no_sandbox_is_left(backend)
        async with self.backend() as backend:
            async with self.command(backend, "sleep 60") as run:
                run.run.cancel()
                await asyncio.wait({run.run})
            self.assert_no_sandbox_is_left(backend)
            await run.sandbox.close()

    async def test_fifty_at_once(self):
        async with self.backend() as backend:
            outcomes = await asyncio.gather(
                *(self.outcome(backend, f"echo {n}") for n in range(50))
            )
            self.assert_no_sandbox_is_left(backend)
        self.assertEqual(outcomes, [(0, f"{n}\n", "") for n in range(50)])
