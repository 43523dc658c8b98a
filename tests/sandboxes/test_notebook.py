"""Cells in real Jupyter kernels."""

import json
import os
import time
import unittest
import uuid
from unittest import mock

import pytest

from runs.sandboxes import notebook, rich
from runs.sandboxes.base import Cell, Launch, OutputQueue, SandboxError
from runs.sandboxes.processes import descendants

from .support import LocalCase, processes_with, state_of, until

RESULTS = """
from IPython.display import HTML, JSON, Latex, Markdown, SVG, display
display(HTML("<b>x</b>"), JSON({"a": 1}), Latex("$x$"), Markdown("# x"), SVG("<svg></svg>"))
display({"application/x-own": "own", "text/plain": "plain"}, raw=True)
handle = display("first", display_id=True)
handle.update("second")
1 + 1
"""

PLOT = """
import matplotlib.pyplot as plt
plt.plot([1, 2])
"""


class Notebooks:
    async def test_text_comes_in_order_and_to_its_end(self):
        code = (
            "import os, sys\n"
            "print('one', flush=True)\n"
            "print('two', file=sys.stderr)\n"
            "os.system('echo three; echo ä')\n"
            "os.write(1, 'ä'.encode() * 5000)\n"
            "print('\\ud800\\0')"
        )
        async with self.backend() as backend, self.cell(backend, code) as run:
            self.assertEqual(await run.codes(30), [0])
        text = run.text()
        self.assertEqual(text.count("ä"), 5001)
        self.assertTrue(text.startswith("one\n"))
        self.assertIn("\ufffd\u2400\n", text)
        self.assertIn("three\n", text)
        self.assertEqual(run.text("stderr"), "two\n")

    async def test_environment_and_directory(self):
        secret = uuid.uuid4().hex
        code = (
            "import os\n"
            "print(os.environ['VALUE'], os.getcwd(), os.environ['STREAMSITE_RUN'])\n"
            "print([name for name in globals() if 'VALUE' in name], In[:-1])"
        )
        fields = {"env": {"VALUE": secret}, "cwd": "/usr/share", "run_id": "theirs"}
        async with self.backend(notebook_spare=True) as backend:
            codes, pieces = await self.cell_outcome(backend, code, **fields)
            self.assertEqual(codes, [0])
            text = "".join(piece.text for piece in pieces)
            self.assertEqual(text, f"{secret} /usr/share theirs\n[] ['']\n")
            self.assertEqual(processes_with(secret), [])
            with self.assertRaisesMessage(SandboxError, "does not exist in the sandbox"):
                await self.cell_outcome(backend, "1", cwd="/no/such")

    async def test_kill(self):
        codes = ["print('up', flush=True)\nwhile True: pass"]
        codes.append("print('up', flush=True)\nimport time; time.sleep(60)")
        codes.append(
            "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print('up', flush=True)\nsum(range(10**12))"
        )
        async with self.backend() as backend:
            for code in codes:
                async with self.cell(backend, code) as run:
                    await until(lambda run=run: "up" in run.text(), 30)
                    kernel = run.sandbox._kernel.child.pid
                    processes = [kernel, *descendants(kernel)]
                    started = time.monotonic()
                    await run.sandbox.kill()
                    [ended] = await run.codes()
                    self.assertIn(ended, (137, 143))
                    self.assertLess(time.monotonic() - started, 1.2)
                await until(lambda gone=processes: not any(map(alive, gone)))

    async def test_a_full_queue_stops_the_kernel_and_nothing_is_lost(self):
        await self.check_slow_reader(lines=6000)

    @pytest.mark.slow
    async def test_a_full_queue_in_full_length(self):
        await self.check_slow_reader(lines=60000)

    async def check_slow_reader(self, lines):
        code = f"for n in range({lines}): print(n, 'x' * 50, flush=True)"
        async with (
            self.backend() as backend,
            self.cell(backend, code, limit=32 * 1024) as run,
        ):
            run.taking.clear()
            await until(lambda: run.output.full, 30)
            kernel = run.sandbox._kernel.child.pid
            await until(lambda: "T" in [state_of(pid) for pid in (kernel, *descendants(kernel))])
            self.assertLess(run.output._bytes, 200 * 1024)
            run.taking.set()
            self.assertEqual(await run.codes(120), [0])
        self.assertEqual([line.split()[0] for line in run.text().splitlines()], list_of(lines))

    async def test_the_spare(self):
        with mock.patch.object(notebook, "REFILL_SECONDS", 0.01):
            async with self.backend(notebook_spare=True) as backend:
                kernels = backend._kernels
                await until(kernels._spare.done, 30)
                first = kernels._spare.result()
                async with self.cell(backend, "print(1)") as run:
                    self.assertEqual(await run.codes(30), [0])
                    self.assertIs(run.sandbox._kernel, first)
                await until(lambda: kernels._spare and kernels._spare.done(), 30)
                self.assertIsNot(kernels._spare.result(), first)
        self.assertEqual(processes_with(str(self.scratch)), [])
        self.assertEqual(list(self.scratch.glob("*")), [])


class ConfinedNotebooks(Notebooks, LocalCase):
    confine = True


class UnconfinedNotebooks(Notebooks, LocalCase):
    confine = False


class NotebookTests(LocalCase):
    """Nothing here depends on the confinement: it is used where it works."""

    confine = None

    async def test_output_and_results(self):
        async with self.backend() as backend, self.cell(backend, RESULTS) as run:
            self.assertEqual(await run.codes(30), [0])
            self.assertEqual(run.exits, [(0, 0)])
            results = [json.loads(piece.data) for piece in run.pieces]
            kinds = [set(result) - {"text/plain"} for result in results]
            self.assertEqual(
                kinds,
                [
                    {"text/html"},
                    {"application/json"},
                    {"text/latex"},
                    {"text/markdown"},
                    {"image/svg+xml"},
                    {"application/x-own"},
                    set(),
                    set(),
                    {"execution_count"},
                ],
            )
            self.assertEqual({piece.stream for piece in run.pieces}, {"result"})
            self.assertEqual(run.pieces[-1].text, "2\n")
            self.assertEqual(results[-1], {"text/plain": "2", "execution_count": 1})
            self.assertEqual(results[-2]["text/plain"], "'second'")

    async def test_a_plot_is_an_image(self):
        async with self.backend() as backend:
            codes, pieces = await self.cell_outcome(backend, PLOT)
        self.assertEqual(codes, [0])
        images = [piece for piece in pieces if piece.data and b"image/png" in piece.data]
        self.assertEqual(len(images), 1)
        self.assertTrue(json.loads(images[0].data)["image/png"].startswith("iVBOR"))

    async def test_errors(self):
        raised = {
            "1/0": ("ZeroDivisionError", "division by zero"),
            "import sys; sys.exit(3)": ("SystemExit", "3"),
            "def broken(": ("_IncompleteInputError", None),
            "input('x')": (
                "StdinNotImplementedError",
                "input() is not available in notebook mode; launch in script mode with stdin.",
            ),
        }
        async with self.backend() as backend:
            for code, (name, value) in raised.items():
                with self.subTest(code):
                    codes, pieces = await self.cell_outcome(backend, code)
                    self.assertEqual(codes, [1])
                    [piece] = [piece for piece in pieces if piece.stream == "error"]
                    data = json.loads(piece.data)
                    self.assertEqual(set(data), {"name", "value", "traceback"})
                    self.assertIn(data["name"], (name, "SyntaxError"))
                    self.assertIn(data["value"], (value or data["value"],))
                    self.assertEqual(piece.text, data["traceback"] + "\n")
                    self.assertNotIn("\x1b", piece.text)

    async def test_what_python_reads_at_its_start(self):
        code = "import sys; print(sys.flags.optimize)"
        async with self.backend(notebook_spare=True) as backend:
            _, pieces = await self.cell_outcome(backend, code, env={"PYTHONOPTIMIZE": "2"})
        self.assertEqual([piece.text for piece in pieces], ["2\n"])

    async def test_a_kernel_that_dies(self):
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "(killed by signal 9, perhaps out of"):
                await self.cell_outcome(backend, "import os; os.kill(os.getpid(), 9)")
            with self.assertRaisesMessage(SandboxError, "The Python kernel died (exit code 3)."):
                await self.cell_outcome(backend, "import os; os._exit(3)")
            self.assertEqual((await self.cell_outcome(backend, "exit()"))[0], [0])

    async def test_a_kernel_that_sends_nonsense(self):
        code = (
            "kernel = get_ipython().kernel\n"
            "parent = kernel.get_parent()\n"
            "kernel.session.send(kernel.iopub_socket, 'stream', {}, parent=parent)\n"
            "import time; time.sleep(60)"
        )
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "The Python kernel sent nonsense"):
                await self.cell_outcome(backend, code)

    async def test_what_is_too_big(self):
        code = "print('x' * 3_000_000)\n'y' * 20_000_000"
        async with self.backend() as backend:
            codes, pieces = await self.cell_outcome(backend, code)
        self.assertEqual(codes, [0])
        text = [piece.text for piece in pieces if piece.stream == "stdout"]
        self.assertEqual(len("".join(text)), 3_000_001)
        self.assertLess(max(map(len, text)), 100_000)
        [result] = [piece for piece in pieces if piece.stream == "result"]
        self.assertLess(len(result.data), 8 * 1024**2)
        [remark] = [piece for piece in pieces if piece.stream == "system"]
        self.assertIn("(text/plain) was left out", remark.text)

    async def test_kill_while_it_starts(self):
        async with self.backend() as backend, self.cell(backend, "1") as run:
            await until(lambda: processes_with(f"{self.scratch}/run-"))
            await run.sandbox.kill()
            self.assertEqual(await run.codes(), [None])
        self.assertEqual(processes_with(str(self.scratch)), [])

    async def test_a_dead_spare_is_replaced(self):
        with mock.patch.object(notebook, "RETRY_SECONDS", 0.01):
            async with self.backend(notebook_spare=True) as backend:
                kernels = backend._kernels
                spare = kernels._spare
                await until(spare.done, 30)
                first = spare.result()
                with self.assertLogs("runs.sandboxes.notebook", "WARNING"):
                    first.place.destroy(first.child)
                    await until(lambda: kernels._spare not in (None, spare))
                await until(kernels._spare.done, 30)
                self.assertEqual((await self.cell_outcome(backend, "1"))[0], [0])

    async def test_what_is_refused(self):
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, "no notebook for 'r'; it has python"):
                await backend.create(Launch("r", "alice", cell=Cell("r", "1")))
            sandbox = await backend.create(Launch("r", "alice", cell=Cell("python", "1")))
            with self.assertRaisesMessage(SandboxError, "launch in script mode with stdin"):
                await sandbox.send_stdin(0, "x")
            await sandbox.kill()
            self.assertEqual(await sandbox.run(OutputQueue(), None), [None])
            await sandbox.close()
            await sandbox.close()


class RichTests(unittest.TestCase):
    def test_what_orjson_refuses(self):
        value = {"big": 10**30, "half": "\ud800", "list": [float("inf"), 1.5, None, True]}
        self.assertEqual(
            json.loads(rich.as_json(value)),
            {"big": 10**30, "half": "\ufffd", "list": [None, 1.5, None, True]},
        )


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def list_of(lines):
    return [str(n) for n in range(lines)]
