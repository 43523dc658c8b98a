"""A run in E2B goes on when its executor dies, freezes or loses the connection."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from runs.sandboxes.base import Launch, Offset, OutputQueue, Process, SandboxError

from .e2b_case import E2BCase
from .support import Running, until

ROOT = Path(__file__).resolve().parents[2]
WHOLE = bytes(
    random.Random(5).choices(b"ab\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xff\x00\xed", k=6000)
)
# Writes to both, in odd pieces, for about a second.
PROGRAM = f"""
import os, time
whole = {WHOLE!r}
for n in range(0, len(whole), 11):
    os.write(1, whole[n:n + 11])
    os.write(2, whole[n:n + 11])
    time.sleep(0.001)
raise SystemExit(9)
"""
TEXT = WHOLE.decode(errors="replace").replace("\0", "\u2400")


class Executor:
    """An executor in a process of its own; `text` and `offsets` are what it recorded."""

    def __init__(self, double, language, program):
        self.launch = Launch(uuid.uuid4().hex, "alice", (Process(0, language, program),))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sandboxes.e2b_executor", self.launch.run_id,
             language, program],
            cwd=ROOT, env=double.environ(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self.sandbox_id = self._next()["sandbox"]
        self.texts = {"stdout": "", "stderr": ""}

    def _next(self):
        return json.loads(self._process.stdout.readline())

    def record(self, characters):
        """Until so much of stdout was recorded."""
        while len(self.texts["stdout"]) < characters:
            piece = self._next()
            self.texts[piece["stream"]] += piece["text"]

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self._process.kill()
        for line in self._process.stdout:  # what it said before counts as recorded
            if line.endswith("\n"):
                piece = json.loads(line)
                self.texts[piece["stream"]] += piece["text"]
        self._process.wait()
        self._process.stdout.close()

    @property
    def offsets(self):
        return {(0, name): Offset().after(text) for name, text in self.texts.items()}


class Attached(Running):
    def __init__(self, backend, launch, sandbox_id, offsets):
        super().__init__(backend, launch)
        self._where = (sandbox_id, offsets)

    async def __aenter__(self):
        self.sandbox = await self._backend.attach(self._launch, *self._where)
        self._taker = asyncio.ensure_future(self._take())
        self.run = asyncio.ensure_future(
            self.sandbox.run(self.output, lambda *ended: self.exits.append(ended))
        )
        return self


class ReattachTests(E2BCase):
    def executor(self, language, program):
        executor = Executor(self.double, language, program)
        self.addCleanup(executor._process.stdout.close)
        self.addCleanup(executor._process.wait)
        self.addCleanup(executor._process.kill)
        return executor

    async def test_an_executor_that_was_killed_is_replaced(self):
        first = await asyncio.to_thread(self.executor, "python", PROGRAM)
        await asyncio.to_thread(first.record, 500)
        first.kill()
        async with (
            self.backend() as backend,
            Attached(backend, first.launch, first.sandbox_id, first.offsets) as second,
        ):
            self.assertEqual(second.sandbox.id, first.sandbox_id)
            self.assertEqual(await second.codes(), [9])
        self.assertEqual(first.texts["stdout"] + second.text(), TEXT)
        self.assertEqual(first.texts["stderr"] + second.text("stderr"), TEXT)
        self.assert_no_sandbox_is_left(backend)

    async def test_an_executor_dies_and_the_program_ends_before_the_next_comes(self):
        first = await asyncio.to_thread(self.executor, "bash", "echo one; sleep 0.5; echo two")
        await asyncio.to_thread(first.record, 4)
        first.kill()
        await self.eventually(lambda: not self.double.sandboxes[0]["pids"])
        async with (
            self.backend() as backend,
            Attached(backend, first.launch, first.sandbox_id, first.offsets) as second,
        ):
            self.assertEqual(await second.codes(), [0])
        self.assertEqual(second.text(), "two\n")

    async def test_a_frozen_executor_blocks_neither_program_nor_successor(self):
        # More than pipes and sockets hold, so that the frozen one's reader is stuck.
        program = "for i in 1 2 3 4 5 6; do seq 1 800000; sleep 0.1; done; echo end"
        first = await asyncio.to_thread(self.executor, "bash", program)
        await asyncio.to_thread(first.record, 1000)
        first.signal(signal.SIGSTOP)
        out = Path(self.double.sandboxes[0]["home"]) / ".streamsite/0/exit"
        await self.eventually(out.exists, 30)
        recorded = {(0, "stdout"): Offset().after(first.texts["stdout"])}
        async with (
            self.backend() as backend,
            Attached(backend, first.launch, first.sandbox_id, recorded) as second,
        ):
            self.assertEqual(await second.codes(30), [0])
            whole = "".join(f"{n}\n" for n in range(1, 800001)) * 6 + "end\n"
            self.assertTrue(first.texts["stdout"] + second.text() == whole)
        first.signal(signal.SIGCONT)

    async def test_many_lost_connections(self):
        async with self.backend() as backend, self.command(backend, PROGRAM, "python") as run:
            for _ in range(4):
                seen = len(run.text())
                await until(lambda seen=seen: len(run.text()) > seen or run.run.done())
                await asyncio.to_thread(self.double.drop, run.sandbox.id)
            self.assertEqual(await run.codes(), [9])
        self.assertEqual((run.text(), run.text("stderr")), (TEXT, TEXT))
        self.assertRegex(run.text("system"), r"lost for \d+\.\d s. Nothing was missed.")
        self.assert_no_sandbox_is_left(backend)

    async def test_a_program_that_was_never_started_is_started(self):
        async with self.backend() as backend:
            launch = Launch(uuid.uuid4().hex, "alice", (Process(0, "bash", "echo up"),))
            left = await backend.create(launch)
            async with Attached(backend, launch, left.id, {}) as run:
                self.assertEqual(await run.codes(), [0])
                self.assertEqual(run.text(), "up\n")
            await left.close()
        self.assert_no_sandbox_is_left(backend)

    async def test_stdin_goes_on(self):
        async with self.backend() as backend:
            launch = Launch(
                uuid.uuid4().hex, "alice", (Process(0, "bash", "cat; exit 2"),), stdin=True
            )
            left = await backend.create(launch)
            output = OutputQueue()
            work = asyncio.ensure_future(left.run(output, None))
            await left.send_stdin(0, "one\n")
            [piece] = await output.take(5)
            work.cancel()
            offsets = {(0, "stdout"): Offset().after(piece.text)}
            async with Attached(backend, launch, left.id, offsets) as run:
                await run.sandbox.send_stdin(0, "two\n")
                await run.sandbox.send_stdin(0, None)
                self.assertEqual(await run.codes(), [2])
                self.assertEqual(run.text(), "two\n")
            await left.close()

    async def test_parallel_tasks_each_at_their_own_offset(self):
        program = "for i in $(seq 1 40); do echo $0 $i; sleep 0.01; done"
        async with self.backend() as backend:
            processes = tuple(Process(task, "bash", program) for task in (1, 2, 3))
            launch = Launch(uuid.uuid4().hex, "alice", processes)
            left = await backend.create(launch)
            first = Running(backend, launch)
            first.sandbox = left
            taker = asyncio.ensure_future(first._take())
            first.run = asyncio.ensure_future(left.run(first.output, lambda *ended: None))
            await until(lambda: all("5" in first.text(task=task) for task in (1, 2, 3)))
            first.run.cancel()
            await asyncio.wait({first.run})
            first.output.close()
            await taker
            offsets = {
                (task, "stdout"): Offset().after(first.text(task=task)) for task in (1, 2, 3)
            }
            async with Attached(backend, launch, left.id, offsets) as second:
                self.assertEqual(await second.codes(), [0, 0, 0])
            await left.close()
        for task in (1, 2, 3):
            numbers = (first.text(task=task) + second.text(task=task)).split()[1::2]
            self.assertEqual(numbers, [str(n) for n in range(1, 41)])

    async def test_a_sandbox_that_is_gone(self):
        async with self.backend() as backend:
            launch = Launch("r", "alice", (Process(0, "bash", "true"),))
            with self.assertRaisesMessage(SandboxError, "The sandbox is gone"):
                await backend.attach(launch, "inosuchsandbox", {})

    async def test_a_cell_cannot_be_continued(self):
        async with self.backend() as backend:
            run = self.cell(backend, "1")
            left = await backend.create(run._launch)
            with self.assertRaisesMessage(SandboxError, "cannot be continued"):
                await backend.attach(run._launch, left.id, {})
            self.assertEqual(self.double.sandboxes, [])
            await left.close()
