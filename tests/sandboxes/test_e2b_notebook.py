"""Cells in E2B: rich results, and what goes wrong."""

import asyncio
import json
import shutil
import time
import uuid

from runs.sandboxes.base import Cell, Launch, SandboxError

from .e2b_case import E2BCase
from .support import Running, until
from .test_e2b_trouble import refusal

CHART = {
    "type": "line", "title": "t", "elements": [], "x_label": "x", "y_label": "y",
    "x_unit": None, "y_unit": None, "x_ticks": [1], "x_tick_labels": ["1"], "x_scale": "linear",
    "y_ticks": [1], "y_tick_labels": ["1"], "y_scale": "linear",
}  # fmt: skip
RICH = f"""
display({{"text/plain": "p", "text/html": "<b>", "image/png": "cGNn", "image/svg+xml": "<svg/>",
         "application/json": {{"a": 1}}, "text/latex": "$x$", "e2b/data": {{"c": [1]}},
         "e2b/chart": {CHART!r}, "application/x-own": "own"}}, raw=True)
"""


class NotebookTests(E2BCase):
    async def test_rich_results(self):
        async with self.backend() as backend:
            codes, pieces = await self.cell_outcome(backend, RICH)
        self.assertEqual(codes, [0])
        [result] = [piece for piece in pieces if piece.stream == "result"]
        self.assertEqual(
            json.loads(result.data),
            {
                "text/plain": "p",
                "text/html": "<b>",
                "image/png": "cGNn",
                "image/svg+xml": "<svg/>",
                "application/json": {"a": 1},
                "text/latex": "$x$",
                "application/x-own": "own",
                "data": {"c": [1]},
                "chart": CHART,
            },
        )
        self.assertEqual(result.text, "p\n")

    async def test_other_languages(self):
        programs = {"bash": ("echo $V", "x\n")}
        if shutil.which("node"):
            programs["javascript"] = ("console.log(process.env.V)", "x\n")
        async with self.backend() as backend:
            for language, (program, text) in programs.items():
                launch = Launch(
                    uuid.uuid4().hex, "alice", cell=Cell(language, program), env={"V": "x"}
                )
                async with Running(backend, launch) as run:
                    self.assertEqual(await run.codes(), [0])
                self.assertEqual(run.text(), text)
            with self.assertRaisesMessage(SandboxError, "no notebook for 'cobol'"):
                await backend.create(Launch("r", "alice", cell=Cell("cobol", "")))

    async def test_output_that_the_notebook_drops_is_told(self):
        self.double.settings(iopub_limit=20)
        code = "import sys\nfor n in range(300): print(n, flush=True)"
        async with self.backend() as backend, self.cell(backend, code) as run:
            self.assertEqual(await run.codes(30), [0])
        self.assertLess(len(run.text().split()), 300)
        self.assertIn("Output is missing here", run.text("system"))
        self.assertEqual(run.text("stderr"), "")

    async def test_a_full_queue_holds_the_cell_up_and_loses_nothing(self):
        code = (
            "import time\nfor n in range(400): print(n, 'x' * 1000, flush=True); time.sleep(0.002)"
        )
        async with self.backend() as backend, self.cell(backend, code, limit=4096) as run:
            run.taking.clear()
            await until(lambda: run.output.full, 30)
            for _ in range(20):  # time enough to be given more
                await asyncio.to_thread(lambda: self.double.calls)
            self.assertLess(run.output._bytes, 64 * 1024)
            run.taking.set()
            self.assertEqual(await run.codes(30), [0])
        self.assertEqual(run.text(), "".join(f"{n} {'x' * 1000}\n" for n in range(400)))

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
            self.assert_no_sandbox_is_left(backend)

    async def test_refusals(self):
        for fault, sentence in (
            (refusal(401), "E2B refused: 401"),
            (refusal(429), "E2B refused: 429"),
            (refusal(404, "Context x not found"), "E2B refused"),
            (refusal(500), "E2B refused: 500"),
            (refusal(502, "The sandbox was not found"), "The sandbox is gone"),
        ):
            with self.subTest(sentence):
                self.double.fault("execute", **fault)
                async with self.backend() as backend:
                    with self.assertRaisesMessage(SandboxError, sentence):
                        await self.cell_outcome(backend, "1")

    async def test_a_connection_that_breaks(self):
        self.double.fault("execute", frames=2, then="cut")
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "E2B stops a cell whose client has left"):
                await self.cell_outcome(backend, "print(1, flush=True)\nimport time; time.sleep(9)")

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

    async def test_no_stdin(self):
        async with self.backend() as backend, self.cell(backend, "1") as run:
            with self.assertRaisesMessage(SandboxError, "script mode with stdin"):
                await run.sandbox.send_stdin(0, "x")
