"""What ends a cell in E2B, what only delays it, and what people are told."""

import asyncio
import json
import time
from unittest import mock

import httpx

from runs.sandboxes.base import Cell, Launch, SandboxError

from .e2b_case import E2BCase
from .support import Running, until
from .test_e2b_trouble import refusal


class NotebookTests(E2BCase):
    async def test_only_the_executors_clock_ends_a_cell(self):
        seconds = "e2b_code_interpreter.code_interpreter_async.DEFAULT_TIMEOUT"
        async with self.backend() as backend:
            with mock.patch(seconds, 0.2):
                outcome = await self.cell_outcome(backend, "import time; time.sleep(1); 1")
        self.assertEqual(outcome[0], [0])

    async def test_what_ends_a_cell(self):
        async with self.backend() as backend:
            codes, pieces = await self.cell_outcome(backend, "import sys; sys.exit(3)")
            self.assertEqual(codes, [1])
            [error] = [piece for piece in pieces if piece.stream == "error"]
            self.assertEqual(json.loads(error.data)["name"], "SystemExit")
            codes, pieces = await self.cell_outcome(backend, "1 +")
            self.assertEqual((codes, pieces[-1].stream), ([1], "error"))

    async def test_a_kernel_that_dies(self):
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "The kernel died"):
                await self.cell_outcome(backend, "import os; os.kill(os.getpid(), 9)")
            ended = {"code": "UnexpectedEndOfExecution", "message": "Connection was closed"}
            self.double.fault("execute", frames=2, then=ended)
            async with self.cell(
                backend, "print(1, flush=True); import time; time.sleep(9)"
            ) as run:
                with self.assertRaisesMessage(SandboxError, "The kernel died"):
                    await run.codes(30)
            self.assertEqual([piece.text for piece in run.pieces], ["1\n"])
            self.assert_no_sandbox_is_left(backend)

    async def test_refusals(self):
        for call, fault, sentence in (
            ("execute", refusal(401), "E2B refused access to the sandbox"),
            ("execute", refusal(404, "Context x not found"), "Context x not found"),
            ("execute", refusal(502, "The sandbox was not found"), "The sandbox is gone"),
            ("contexts", refusal(401), "E2B refused access to the sandbox"),
            ("contexts", refusal(502, "The sandbox was not found"), "The sandbox is gone"),
            ("Start", refusal(401), "E2B refused access to the sandbox"),
        ):
            with self.subTest(call=call, sentence=sentence):
                self.double.reset()
                self.double.fault(call, times=9, **fault)
                async with self.backend() as backend:
                    with self.assertRaisesMessage(SandboxError, sentence):
                        cwd = None if call == "execute" else "/usr"
                        await self.cell_outcome(backend, "1", cwd=cwd)
                    self.assertEqual(self.double.calls[call], 1)
                    self.assert_no_sandbox_is_left(backend)

    async def test_what_is_turned_away_is_sent_again(self):
        for call, fault in (
            ("execute", refusal(429)),
            ("execute", refusal(500)),
            ("execute", refusal(503)),
            ("execute", refusal(502, "The sandbox is running but port is not open")),
            ("contexts", refusal(429)),
            ("contexts", refusal(503)),
            ("Start", refusal(503)),
        ):
            with self.subTest(call=call, fault=fault):
                self.double.reset()
                self.double.fault(call, times=2, **fault)
                cwd = None if call == "execute" else "/usr"
                launch = Launch("r", "alice", cell=Cell("bash", "echo 1"), cwd=cwd)
                async with self.backend() as backend:
                    with mock.patch("runs.sandboxes.e2b_notebook.RETRY_FIRST", 0.02):
                        async with Running(backend, launch) as run:
                            self.assertEqual(await run.codes(), [0])
                remark, piece = run.pieces
                self.assertEqual((piece.text, remark.stream), ("1\n", "system"))
                self.assertIn("sent again", remark.text)

    async def test_a_context_that_takes_too_long(self):
        self.double.fault("contexts", delay=2)
        launch = Launch("r", "alice", cell=Cell("bash", "echo 1"), cwd="/usr")
        async with self.backend() as backend, Running(backend, launch) as run:
            with (
                mock.patch("runs.sandboxes.e2b_notebook.CONTEXT_SECONDS", 0.2),
                mock.patch("runs.sandboxes.e2b_notebook.PATIENCE_SECONDS", 0.1),
                self.assertRaisesMessage(SandboxError, "did not answer in time"),
            ):
                await run.codes(30)

    async def test_but_not_for_ever(self):
        for fault, sentence in (
            (refusal(429), "E2B's limit on sandboxes or requests is reached"),
            (refusal(503), "E2B is overloaded"),
            (refusal(500, "no kernel"), "E2B refused: 500 Internal Server Error: no kernel."),
        ):
            self.double.reset()
            self.double.fault("execute", times=99, **fault)
            async with self.backend() as backend:
                with (
                    mock.patch("runs.sandboxes.e2b_notebook.PATIENCE_SECONDS", 0.3),
                    self.assertRaisesMessage(SandboxError, sentence),
                ):
                    await self.cell_outcome(backend, "1")
                self.assertEqual(self.double.calls["execute"], 2)

    async def test_a_mistake_of_ours_is_not_told_as_one_of_e2bs(self):
        async with self.backend() as backend, self.cell(backend, "print(1)") as run:
            with (
                mock.patch.object(run.output, "put", side_effect=RuntimeError("ours")),
                self.assertRaisesMessage(RuntimeError, "ours"),
            ):
                await run.codes(30)
        self.assert_no_sandbox_is_left(backend)

    async def test_a_connection_that_breaks(self):
        code = "print(1, flush=True)\nimport time; time.sleep(9)"
        for fault in ({"frames": 2, "then": "cut"}, {"frames": 0, "then": "cut"}, {"cut": True}):
            with self.subTest(fault=fault):
                self.double.fault("execute", **fault)
                async with self.backend() as backend:
                    with self.assertRaisesMessage(SandboxError, "cell whose client has left"):
                        await self.cell_outcome(backend, code)
                    self.assert_no_sandbox_is_left(backend)

    async def test_a_connection_that_breaks_as_it_is_read(self):
        # The double's connections never end like this; those through proxies do.
        broken = mock.patch(
            "e2b_code_interpreter.AsyncSandbox.run_code", side_effect=httpx.ReadError("reset")
        )
        async with self.backend() as backend:
            with broken, self.assertRaisesMessage(SandboxError, "cell whose client has left"):
                await self.cell_outcome(backend, "1")

    async def test_a_sandbox_that_dies(self):
        self.double.fault("execute", frames=2, then="die")
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "The sandbox is gone"):
                await self.cell_outcome(backend, "print(1, flush=True)\nimport time; time.sleep(9)")
            self.assert_no_sandbox_is_left(backend)

    async def test_kill(self):
        async with self.backend() as backend:
            async with self.cell(backend, "print('up', flush=True)\nwhile True: pass") as run:
                await until(lambda: "up" in run.text(), 30)
                started = time.monotonic()
                await run.sandbox.kill()
                self.assertEqual(await run.codes(1), [None])
                self.assertLess(time.monotonic() - started, 1.2)
            self.assert_no_sandbox_is_left(backend)

    async def test_kill_before_the_start(self):
        async with self.backend() as backend:
            sandbox = await backend.create(Launch("r", "alice", cell=Cell("python", "1")))
            await sandbox.kill()
            self.assertEqual(await sandbox.run(None, None), [None])
            await sandbox.close()
        self.assertNotIn("execute", self.double.calls)

    async def test_a_kill_that_e2b_does_not_answer(self):
        async with (
            self.backend() as backend,
            self.cell(backend, "print('up', flush=True)\nwhile True: pass") as run,
        ):
            await until(lambda: "up" in run.text(), 30)
            self.double.fault("kill", delay=1.5)
            started = time.monotonic()
            await run.sandbox.kill()
            self.assertEqual(await run.codes(1), [None])
            self.assertLess(time.monotonic() - started, 1.2)

    async def test_a_cell_whose_sandbox_cannot_be_killed_is_left_alone(self):
        self.double.fault("kill", times=99, **refusal(403))
        async with (
            self.backend() as backend,
            self.cell(backend, "print('up', flush=True)\nwhile True: pass") as run,
        ):
            await until(lambda: "up" in run.text(), 30)
            with self.assertLogs("runs.sandboxes.e2b_life", "WARNING"):
                await run.sandbox.close()
            await until(run.run.done)
            self.assertEqual(run.run.result(), [None])

    async def test_every_way_out_kills_the_sandbox(self):
        code = "print('up', flush=True)\nwhile True: pass"
        async with self.backend() as backend:
            for way in ("kill", "close", "leave"):
                with self.subTest(way):
                    async with self.cell(backend, code) as run:
                        await until(lambda run=run: "up" in run.text(), 30)
                        await getattr(run.sandbox, way)()
                        self.assert_no_sandbox_is_left(backend)
                        self.assertEqual(await run.codes(), [None])
            async with self.cell(backend, code) as run:
                await until(lambda: "up" in run.text(), 30)
                run.run.cancel()
                await asyncio.wait({run.run})
            self.assert_no_sandbox_is_left(backend)

    async def test_no_stdin(self):
        async with self.backend() as backend, self.cell(backend, "1") as run:
            with self.assertRaisesMessage(SandboxError, "script mode with stdin"):
                await run.sandbox.send_stdin(0, "x")
