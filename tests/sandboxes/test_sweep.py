"""What is left of a server that was killed, and who removes it."""

import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from .support import LocalCase, processes_with, until

SERVER = """
import asyncio, sys
from runs.sandboxes.base import Launch, OutputQueue, Process
from runs.sandboxes.local import LocalBackend

async def main(data_dir, scratch, confine, mark):
    backend = LocalBackend(
        data_dir=data_dir, scratch_dir=scratch, allow_unconfined=True,
        confine=confine == "True", notebook_spare=False,
    )
    await backend.start()
    program = f"(setsid -f sleep {mark}) >/dev/null 2>&1; echo up; sleep {mark}"
    sandbox = await backend.create(Launch("dead", "alice", (Process(0, "bash", program),)))
    queue = OutputQueue()
    running = asyncio.ensure_future(sandbox.run(queue, print))
    await queue.take()
    print("up", flush=True)
    await running

asyncio.run(main(*sys.argv[1:]))
"""


class Sweeps:
    def start_server(self, mark):
        arguments = [str(self.data_dir), str(self.scratch), str(self.confine), mark]
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, *arguments],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.assertEqual(server.stdout.readline(), b"up\n")
        return server

    async def test_after_a_killed_server_nothing_is_left(self):
        mark = f"86400.{random.randrange(10**9)}"
        async with self.backend() as backend:
            server = self.start_server(mark)
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            # The program itself dies with its server, silent or not.
            await until(lambda: len(processes_with(f"sleep\0{mark}")) <= (0 if self.confine else 1))
            self.assertEqual(len(list(self.scratch.glob("run-*"))), 1)
            self.assertGreater(await backend.sweep(set()), 0)
            await until(lambda: not processes_with(mark))
            self.assertEqual(list(self.scratch.glob("run-*")), [])
            self.assertEqual(len(list(self.scratch.glob("etc-*"))), int(self.confine))
            self.assertEqual(await backend.sweep(set()), 0)

    async def test_the_living_are_left_alone(self):
        run_id = uuid.uuid4().hex
        async with self.backend() as backend:
            program = "echo up; read x; pwd; exit 7"
            async with self.command(backend, program, stdin=True, run_id=run_id) as run:
                await run.printed("up")
                self.assertEqual(await backend.sweep({run_id}), 0)
                await run.sandbox.send_stdin(0, "go\n")
                self.assertEqual(await run.codes(), [7])

    async def test_another_servers_runs_are_left_alone(self):
        other = self.top / "other"
        async with (
            self.backend(data_dir=other, scratch_dir=self.top / "other-scratch") as theirs,
            self.backend() as ours,
            self.command(theirs, "echo up; read x; exit 7", stdin=True) as run,
        ):
            await run.printed("up")
            self.assertEqual(await ours.sweep(set()), 0)
            await run.sandbox.send_stdin(0, "go\n")
            self.assertEqual(await run.codes(), [7])


class ConfinedSweeps(Sweeps, LocalCase):
    confine = True


class UnconfinedSweeps(Sweeps, LocalCase):
    confine = False
