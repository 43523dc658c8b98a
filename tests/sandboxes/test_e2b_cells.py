"""What cells in E2B say, in every language, is recorded."""

import asyncio
import json
import uuid
from unittest import mock

from django.test import SimpleTestCase
from e2b_code_interpreter.models import Execution, OutputMessage, Result, async_parse_output

from runs.kinds import NOTEBOOK_LANGUAGES
from runs.sandboxes.base import Cell, Launch, OutputQueue, SandboxError
from runs.sandboxes.e2b_notebook import CellOutput

from .e2b_case import E2BCase
from .support import Running, until

STREAMS = ["stdout", "stderr", "result", "error"]
CHART = {
    "type": "line", "title": "t", "elements": [], "x_label": "x", "y_label": "y",
    "x_unit": None, "y_unit": None, "x_ticks": [1], "x_tick_labels": ["1"], "x_scale": "linear",
    "y_ticks": [1], "y_tick_labels": ["1"], "y_scale": "linear",
}  # fmt: skip
RICH = f"""
display({{"text/plain": "p", "text/html": "<b>", "image/png": "cGNn", "image/svg+xml": "<svg/>",
         "text/markdown": "# m", "image/jpeg": "anBn", "application/pdf": "cGRm",
         "application/javascript": "1", "application/json": {{"a": 1}}, "text/latex": "$x$",
         "e2b/data": {{"c": [1]}}, "e2b/chart": {CHART!r}, "application/x-own": "own"}}, raw=True)
"""


class CellOutputTests(SimpleTestCase):
    """What kernels of other languages can say and Python's cannot."""

    async def pieces(self, *lines):
        output, execution = OutputQueue(), Execution()
        cell = CellOutput(output)
        for line in lines:
            await async_parse_output(
                execution, json.dumps(line), cell.on_stdout, cell.on_stderr,
                cell.on_result, cell.on_error,
            )  # fmt: skip
        # Nor does the SDK keep what was recorded of them.
        self.assertEqual([vars(result) for result in execution.results if vars(result)], [])
        return await output.take()

    async def test_halves_of_surrogate_pairs(self):
        half = "a\ud800b"
        pieces = await self.pieces(
            {"type": "stdout", "text": half, "timestamp": ""},
            {"type": "stderr", "text": half, "timestamp": ""},
            {"type": "result", "text": half, "html": half, "json": {half: [half]}},
            {"type": "error", "name": half, "value": half, "traceback": f"line 7: {half}"},
        )
        self.assertEqual([piece.stream for piece in pieces], STREAMS)
        self.assertEqual(pieces[-1].text, "line 7: a\ufffdb\n")
        for piece in pieces:
            self.assertIn("a\ufffdb", piece.text)
            self.assertNotIn("\ud800", json.dumps(json.loads(piece.data or b"0")))

    async def test_a_full_queue_holds_up_whoever_reads_from_the_cell(self):
        output = OutputQueue(limit=10)
        cell = CellOutput(output)
        for heard in (
            lambda: cell.on_stdout(OutputMessage("out", "", False)),
            lambda: cell.on_stderr(OutputMessage("err", "", True)),
            lambda: cell.on_result(Result(text="1")),
        ):
            waiting = asyncio.ensure_future(heard())
            for _ in range(5):
                await asyncio.sleep(0)
            self.assertFalse(waiting.done())
            await output.take()
            await waiting

    async def test_a_result_without_text(self):
        [piece] = await self.pieces({"type": "result", "png": "cGNn", "json": [1, 2**70]})
        self.assertEqual(piece.text, "")
        data = json.loads(piece.data)
        self.assertEqual(data, {"image/png": "cGNn", "application/json": [1, 2**70]})


class CellTests(E2BCase):
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
                "text/markdown": "# m",
                "image/png": "cGNn",
                "image/jpeg": "anBn",
                "application/pdf": "cGRm",
                "application/javascript": "1",
                "image/svg+xml": "<svg/>",
                "application/json": {"a": 1},
                "text/latex": "$x$",
                "application/x-own": "own",
                "data": {"c": [1]},
                "chart": CHART,
            },
        )
        self.assertEqual(result.text, "p\n")

    async def test_every_language_reaches_its_kernel(self):
        programs = {
            "python": "import os; print(os.environ['V'])",
            "javascript": "console.log(process.env.V)",
            "typescript": "const v: string = process.env.V!; console.log(v)",
            "r": "cat(Sys.getenv('V'))",
            "java": 'System.out.println(System.getenv("V"));',
            "bash": "echo $V",
        }
        self.assertEqual(tuple(programs), NOTEBOOK_LANGUAGES["e2b"])
        async with self.backend() as backend:
            for language, program in programs.items():
                with self.subTest(language):
                    cell = Cell(language, program)
                    launch = Launch(uuid.uuid4().hex, "alice", cell=cell, env={"V": "said"})
                    async with Running(backend, launch) as run:
                        self.assertEqual(await run.codes(30), [0])
                    self.assertEqual(run.exits, [(0, 0)])
                    asked = self.double.asked[-1]
                    sent = None if language == "python" else language
                    self.assertEqual((asked["language"], asked["code"]), (sent, program))
                    self.assertEqual(
                        (asked["env_vars"], asked["context_id"]), ({"V": "said"}, None)
                    )
                    # Some kernels of the double only tell what they were asked to run.
                    said = run.text()
                    self.assertIn(said, ("said\n", f"{language} was asked to run: {program}\n"))
            with self.assertRaisesMessage(SandboxError, "no notebook for 'cobol'"):
                await backend.create(Launch("r", "alice", cell=Cell("cobol", "")))

    async def test_a_directory_is_that_of_a_context_of_its_own(self):
        self.double.settings(profile="echo welcome\n")
        async with self.backend() as backend:
            for language in ("bash", "r", "java"):
                launch = Launch(
                    uuid.uuid4().hex, "alice", cell=Cell(language, "pwd"), cwd="/usr/share"
                )
                async with Running(backend, launch) as run:
                    self.assertEqual(await run.codes(30), [0])
                made, executed = self.double.asked[-2:]
                self.assertEqual((made["call"], made["cwd"]), ("contexts", "/usr/share"))
                self.assertEqual((made["language"], executed["language"]), (language, None))
                self.assertTrue(executed["context_id"])

    async def test_a_login_shell_that_leaves_early_does_not_matter(self):
        self.double.settings(profile="exit 0\n")
        async with self.backend() as backend:
            _, [piece] = await self.cell_outcome(backend, "import os; print(1)", cwd="/usr/share")
        self.assertEqual((piece.text, self.double.asked[0]["cwd"]), ("1\n", "/usr/share"))

    async def test_a_cell_that_says_nothing(self):
        async with self.backend() as backend:
            launch = Launch("r", "alice", cell=Cell("bash", "true"))
            async with Running(backend, launch) as run:
                self.assertEqual(await run.codes(), [0])
        self.assertEqual(run.pieces, [])

    async def test_every_character_is_recorded(self):
        said = "a\x85b\u2028c\u2029d\x0be\x0cf\x1cg\x1eh\ri\r\nj\ufeffl\0m𝄞n"
        told = said.replace("\0", "\u2400")
        code = f"""import sys
said = {said!r}
display({{"text/plain": said, "text/html": said}}, raw=True)
sys.stderr.write(said)
sys.stdout.write(said)
sys.stdout.flush()
raise ValueError(said)"""
        async with self.backend() as backend, self.cell(backend, code) as run:
            self.assertEqual(await run.codes(30), [1])
        self.assertEqual((run.text(), run.text("stderr")), (told, told))
        [result] = [json.loads(piece.data) for piece in run.pieces if piece.stream == "result"]
        self.assertEqual(result["text/html"].replace("\0", "\u2400"), told)
        [error] = [json.loads(piece.data) for piece in run.pieces if piece.stream == "error"]
        self.assertEqual(error["value"], told)

    async def test_an_answer_that_cannot_be_read(self):
        # The SDK would take these for the ends of lines.
        self.double.settings(ascii=False)
        for separator in "\x85\u2028\u2029":
            code = f"print('before', flush=True); print('a{separator}b', flush=True)"
            async with self.backend() as backend:
                async with self.cell(backend, code) as run:
                    with self.assertRaisesMessage(SandboxError, "again in script mode"):
                        await run.codes(30)
                self.assertEqual(run.text(), "before\n")
                self.assert_no_sandbox_is_left(backend)
        async with self.backend() as backend, self.cell(backend, "print('é\\x0b𝄞')") as run:
            self.assertEqual(await run.codes(30), [0])
        self.assertEqual(run.text(), "é\x0b𝄞\n")

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

    async def test_what_the_sdk_keeps_in_memory_has_a_limit(self):
        code = "for n in range(9): print('x' * 999, flush=True)"
        async with self.backend() as backend, self.cell(backend, code) as run:
            with (
                mock.patch("runs.sandboxes.e2b_notebook.KEPT_CHARS", 3000),
                self.assertRaisesMessage(SandboxError, "more than the 3,000 characters"),
            ):
                await run.codes(30)
        self.assert_no_sandbox_is_left(backend)
        self.assertTrue(3000 < len(run.text()) < 9000)
