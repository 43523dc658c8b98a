"""What is left of a server that was killed, and who removes it."""

import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from django.test import TransactionTestCase

from runs.execution.executor import Executor
from runs.models import Run, Status
from runs.sandboxes.base import Launch, Process
from runs.streaming import database
from tests.factories import make_run
from tests.people import make_user

from .e2b_case import E2BCase
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
            self.assertGreater(await backend.sweep({}), 0)
            await until(lambda: not processes_with(mark))
            self.assertEqual(list(self.scratch.glob("run-*")), [])
            self.assertEqual(len(list(self.scratch.glob("etc-*"))), int(self.confine))
            self.assertEqual(await backend.sweep({}), 0)

    async def test_the_living_are_left_alone(self):
        run_id = uuid.uuid4().hex
        async with self.backend() as backend:
            program = "echo up; read x; pwd; exit 7"
            async with self.command(backend, program, stdin=True, run_id=run_id) as run:
                await run.printed("up")
                self.assertEqual(await backend.sweep({run_id: run.sandbox.id}), 0)
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
            self.assertEqual(await ours.sweep({}), 0)
            await run.sandbox.send_stdin(0, "go\n")
            self.assertEqual(await run.codes(), [7])


class ConfinedSweeps(Sweeps, LocalCase):
    confine = True


class UnconfinedSweeps(Sweeps, LocalCase):
    confine = False


def launch_of(run_id):
    return Launch(run_id, "alice", (Process(0, "bash", "true"),))


class E2BSweeps(E2BCase):
    async def test_the_sweep(self):
        self.double.settings(page=2)
        async with self.backend(young_seconds=-1) as backend:
            for run_id in ("living", "a", "b", "c"):
                await backend.create(launch_of(run_id))
            async with self.backend(deployment="another's") as other:
                await other.create(launch_of("a"))
            async with self.backend() as careful:
                self.assertEqual(await careful.sweep({"living": ""}), 0)
            self.assertEqual(await backend.sweep({"living": ""}), 3)
        left = [sandbox["metadata"] for sandbox in self.double.sandboxes]
        left = {(metadata["run_id"], metadata["deployment"]) for metadata in left}
        self.assertEqual(left, {("living", "tests"), ("a", "another's")})

    async def test_what_an_earlier_executor_had_begun_to_start(self):
        async with self.backend(young_seconds=-1) as backend:
            first = await backend.create(launch_of("taken"))
            second = await backend.create(launch_of("taken"))
            waits = await backend.create(launch_of("waits"))
            # As long as the row names none, each may be the one.
            self.assertEqual(await backend.sweep({"taken": "", "waits": ""}), 0)
            self.assertEqual(await backend.sweep({"taken": second.id, "waits": ""}), 1)
        living = {sandbox["sandboxID"] for sandbox in self.double.sandboxes}
        self.assertEqual(living, {second.id, waits.id})
        self.assertNotIn(first.id, living)


class ExecutorSweeps(E2BCase, TransactionTestCase):
    async def test_the_rows_say_which_sandboxes_live(self):
        alice = await database.write(make_user, "alice")
        running = await database.write(make_run, alice, Status.RUNNING)
        ended = await database.write(make_run, alice, Status.SUCCEEDED)
        async with self.backend(young_seconds=-1) as backend:
            ours, *_ = [
                await backend.create(launch_of(run.public_id)) for run in (running, running, ended)
            ]
            await Run.objects.filter(pk=running.pk).aupdate(sandbox_id=ours.id)
            with self.assertLogs("runs.execution.executor", "WARNING") as logs:
                await Executor(backend, "test", 1)._sweep()
        self.assertIn("2 sandboxes", logs.output[0])
        self.assertEqual([sandbox["sandboxID"] for sandbox in self.double.sandboxes], [ours.id])
