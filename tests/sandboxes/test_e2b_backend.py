"""What the E2B backend does besides running: waiting, attaching, and ending sandboxes for sure."""

import asyncio
from unittest import mock

from runs.sandboxes.base import Launch, Process, SandboxError

from .e2b_case import E2BCase
from .support import until
from .test_e2b_trouble import refusal

LAUNCH = Launch("r", "alice", (Process(0, "bash", "echo up; sleep 60"),))


class CreateTests(E2BCase):
    async def test_what_takes_long_is_worth_a_word(self):
        reasons = []
        with mock.patch("runs.sandboxes.e2b.SLOW_SECONDS", 0.2):
            async with self.backend() as backend:
                self.double.fault("create", delay=0.5)
                slow = await backend.create(LAUNCH, reasons.append)
                self.assertEqual(reasons, ["E2B takes its time to give a sandbox."])
                quick = await backend.create(LAUNCH, reasons.append)
                await self.outcome(backend, "sleep 0.4")
                self.assertEqual(len(reasons), 1)
                for sandbox in (slow, quick):
                    await sandbox.close()

    async def test_a_mistake_of_ours_is_not_told_as_one_of_e2bs(self):
        with mock.patch("e2b_code_interpreter.AsyncSandbox.create", side_effect=KeyError("ours")):
            async with self.backend() as backend:
                with self.assertRaisesMessage(KeyError, "ours"):
                    await backend.create(LAUNCH)

    async def test_what_cannot_be_run_here(self):
        agent = Launch("r", "alice", (Process(0, "agent", "1"),))
        nowhere = Launch("r", "alice", LAUNCH.processes, cwd="/a\0b")
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "template that has the Claude Agent SDK"):
                await backend.create(agent)
            with self.assertRaisesMessage(SandboxError, "working directory holds a NUL"):
                await backend.create(nowhere)
        self.assertEqual(self.double.calls, {})

    async def test_agents_run_in_their_own_template(self):
        agent = Launch("r", "alice", (Process(0, "agent", "1"),))
        async with self.backend(template="plain", agent_template="agents") as backend:
            sandboxes = [await backend.create(launch) for launch in (agent, LAUNCH)]
            templates = [s["options"]["templateID"] for s in self.double.sandboxes]
            for sandbox in sandboxes:
                await sandbox.close()
        self.assertEqual(templates, ["agents", "plain"])

    async def test_cancelled_while_a_create_fails(self):
        loop, unhandled = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda loop, context: unhandled.append(context))
        self.double.fault("create", delay=0.3, **refusal(401))
        async with self.backend() as backend:
            creating = asyncio.ensure_future(backend.create(LAUNCH))
            await self.eventually(lambda: self.double.calls.get("create"))
            creating.cancel()
            await asyncio.wait({creating})
        del creating
        self.assertEqual((self.double.calls, unhandled), ({"create": 1}, []))


class AttachTests(E2BCase):
    async def test_what_passes_only_delays(self):
        # Four tries are the SDK's own.
        self.double.fault("connect", times=4, **refusal(503))
        async with self.backend() as backend:
            left = await backend.create(LAUNCH)
            again = await backend.attach(LAUNCH, left.id, {})
            self.assertEqual(again.id, left.id)
            await again.close()
            await left.close()

    async def test_what_does_not_pass_in_time(self):
        self.double.fault("connect", times=100, **refusal(503))
        async with self.backend(patience_seconds=0.5) as backend:
            with self.assertRaisesMessage(SandboxError, "E2B is overloaded"):
                await backend.attach(LAUNCH, "i1", {})

    async def test_what_does_not_pass_is_said_at_once(self):
        self.double.fault("connect", times=100, **refusal(401))
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "E2B refused access"):
                await backend.attach(LAUNCH, "i1", {})
        self.assertEqual(self.double.calls, {"connect": 1})

    async def test_a_sweep_that_is_refused(self):
        self.double.fault("list", **refusal(403, "not yours"))
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "E2B refused: 403: not yours."):
                await backend.sweep({})


class LifeTests(E2BCase):
    async def test_what_is_left_to_another_is_neither_prolonged_nor_ended(self):
        async with self.backend(sandbox_seconds=1) as backend:
            async with self.command(backend, "echo up; sleep 60") as run:
                await run.printed("up")
                self.assertEqual(self.double.sandboxes[0]["streams"], 1)
                await run.sandbox.leave()
                self.assertEqual(backend.open_count, 0)
                await self.eventually(lambda: self.double.sandboxes[0]["streams"] == 0)
                asked = self.double.calls.get("timeout", 0)
                self.assertEqual(len(self.double.sandboxes), 1)
                # It lives as long as it was given and is not asked for again.
                await self.eventually(lambda: not self.double.sandboxes)
                self.assertEqual(self.double.calls.get("timeout", 0), asked)
                self.assertNotIn("kill", self.double.calls)
                run.sandbox.close = run.sandbox.leave
            self.assertEqual(backend.open_count, 0)

    async def test_it_is_ended_once(self):
        async with self.backend() as backend:
            async with self.command(backend, "sleep 60") as run:
                await run.sandbox.kill()
                await run.sandbox.close()
            self.assert_no_sandbox_is_left(backend)
        self.assertEqual(self.double.calls["kill"], 1)

    async def test_a_sandbox_that_is_gone_is_not_asked_to_live_on(self):
        async with self.backend(sandbox_seconds=1) as backend:
            sandbox = await backend.create(LAUNCH)
            await asyncio.to_thread(self.double.die, sandbox.id)
            with self.assertNoLogs("runs.sandboxes.e2b_life"):
                await until(lambda: sandbox._life._keeper.done())
            await sandbox.close()

    async def test_the_end_goes_on_when_whoever_waits_for_it_is_cancelled(self):
        self.double.fault("kill", delay=0.5)
        async with self.backend() as backend:
            sandbox = await backend.create(LAUNCH)
            closing = asyncio.ensure_future(sandbox.close())
            await self.eventually(lambda: self.double.calls.get("kill"))
            closing.cancel()
            await asyncio.wait({closing})
            await self.eventually(lambda: not self.double.sandboxes)
            await sandbox.close()
            self.assert_no_sandbox_is_left(backend)

    async def test_what_failed_is_repeated_by_another_connection(self):
        asked = []

        def recorded(call):
            async def ask(*given, **how):
                asked.append(how.get("http_version"))
                return await call(*given, **how)

            return ask

        self.double.fault("timeout", **refusal(500))
        self.double.fault("kill", times=4, **refusal(503))
        async with self.backend(sandbox_seconds=1) as backend:
            sandbox = await backend.create(LAUNCH)
            of_sdk = sandbox._life.sandbox
            of_sdk.set_timeout = recorded(of_sdk.set_timeout)
            of_sdk.kill = recorded(of_sdk.kill)
            await until(lambda: len(asked) >= 3)
            self.assertEqual(asked[:3], [None, "1.1", None])
            asked.clear()
            await sandbox.close()
            await self.eventually(lambda: not self.double.sandboxes)
            await until(lambda: len(asked) == 2)
            self.assertEqual(asked, [None, "1.1"])

    async def test_a_kill_that_is_refused_is_not_repeated(self):
        self.double.fault("kill", **refusal(401))
        async with self.backend() as backend:
            with self.assertLogs("runs.sandboxes.e2b_life", "WARNING") as logs:
                await self.outcome(backend, "true")
        self.assertIn("could not be killed", logs.output[0])
        self.assertEqual((self.double.calls["kill"], backend.open_count), (1, 0))

    async def test_a_kill_that_is_refused_in_the_end(self):
        self.double.fault("kill", times=4, **refusal(503))
        self.double.fault("kill", **refusal(401))
        async with self.backend() as backend:
            with self.assertLogs("runs.sandboxes.e2b_life", "ERROR") as logs:
                await self.outcome(backend, "true")
                await until(lambda: logs.output)
        self.assertIn("was not killed; the sweep will", logs.output[0])
        self.assertEqual(self.double.calls["kill"], 5)

    async def test_a_kill_is_not_repeated_for_ever(self):
        self.double.fault("kill", times=100, **refusal(503))
        with mock.patch("runs.sandboxes.e2b_life.INSIST_SECONDS", 0.3):
            async with self.backend() as backend:
                with self.assertLogs("runs.sandboxes.e2b_life", "ERROR"):
                    await self.outcome(backend, "true")
                    await until(lambda: not backend._graves._tasks)
