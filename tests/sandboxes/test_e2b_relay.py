"""What keeps a program's output in a sandbox, and what becomes of it when that is disturbed."""

import asyncio
import os
import sys
import tempfile
import uuid
from pathlib import Path
from unittest import mock

from django.test import SimpleTestCase
from e2b.sandbox_async.commands.command import Commands

from runs.sandboxes.base import Launch, Offset, OutputQueue, Process, SandboxError
from runs.sandboxes.e2b_reader import Broken, Silent, TaskReader, relay_text

from .e2b_case import E2BCase
from .support import until
from .test_e2b_reattach import Attached
from .test_e2b_trouble import COUNT, refusal

LOST = "exit code are lost"


class RelayTests(E2BCase):
    def home(self):
        return Path(self.double.sandboxes[0]["home"])

    async def dropped(self, run):
        """Until a second reader goes on."""
        await asyncio.to_thread(self.double.drop, run.sandbox.id)
        await until(lambda: "Nothing was missed" in run.text("system"))

    async def test_what_keeps_the_output_is_killed(self):
        program = "echo up; until [ -e ~/go ]; do sleep 0.01; done; kill -9 $PPID; sleep 60"
        for reader in ("first", "second"):
            with self.subTest(reader):
                async with self.backend() as backend, self.command(backend, program) as run:
                    await run.printed("up")
                    if reader == "second":
                        await self.dropped(run)
                    (self.home() / "go").touch()
                    with self.assertRaisesMessage(SandboxError, LOST):
                        await run.codes()
                self.assertEqual(run.text(), "up\n")

    async def test_what_was_kept_is_handed_on_though_its_keeper_is_killed(self):
        program = (
            "wait() { until grep -qs $1 ~/$2; do sleep 0.01; done; }; echo up; wait go go; "
            "echo more; wait more .streamsite/0/stdout; kill -9 $PPID"
        )
        async with self.backend() as backend, self.command(backend, program) as run:
            await run.printed("up")
            self.double.fault("Start", delay=1)
            await asyncio.to_thread(self.double.drop, run.sandbox.id)
            (self.home() / "go").write_text("go")
            with self.assertRaisesMessage(SandboxError, LOST):
                await run.codes()
        self.assertEqual(run.text(), "up\nmore\n")

    async def test_every_later_reader_is_killed(self):
        self.double.settings(profile="[ -d ~/.streamsite/0 ] && kill -9 $$\n")
        self.double.fault("Start", frames=10, then="cut")
        async with self.backend(patience_seconds=0.5) as backend:
            with self.assertRaisesMessage(SandboxError, LOST):
                await self.outcome(backend, COUNT)

    async def test_a_program_that_removes_what_is_kept_is_not_started_again(self):
        program = "echo up >> ~/f; cat ~/f; rm -rf ~/.streamsite; sleep 60"
        async with self.backend() as backend, self.command(backend, program) as run:
            await run.printed("up")
            await asyncio.to_thread(self.double.drop, run.sandbox.id)
            with self.assertRaisesMessage(SandboxError, "knows nothing of the program"):
                await run.codes()
        self.assertEqual(run.text(), "up\n")

    async def test_what_another_has_read_is_not_started_again(self):
        async with self.backend() as backend:
            launch = Launch(uuid.uuid4().hex, "alice", (Process(0, "bash", "echo up"),))
            left = await backend.create(launch)
            read = {(0, "stderr"): Offset(0, 1)}
            async with Attached(backend, launch, left.id, read) as run:
                with self.assertRaisesMessage(SandboxError, "knows nothing of the program"):
                    await run.codes()
            await left.close()

    async def test_less_was_kept_than_recorded(self):
        async with self.backend() as backend:
            launch = Launch(uuid.uuid4().hex, "alice", (Process(0, "bash", "echo up; sleep 60"),))
            left = await backend.create(launch)
            running = asyncio.ensure_future(left.run(mock.Mock(full=False), mock.Mock()))
            await until((self.home() / ".streamsite/0/stdout").exists)
            offsets = {(0, "stdout"): Offset(1000, 0)}
            async with Attached(backend, launch, left.id, offsets) as run:
                with self.assertRaisesMessage(SandboxError, "less of the program's output than"):
                    await run.codes()
            await left.close()
            await asyncio.wait({running})

    async def test_much_output_while_the_first_reader_is_stuck(self):
        self.double.fault("Start", frames=20, then="stuck")
        async with (
            self.backend(beat_seconds=0.1) as backend,
            self.command(backend, "yes | head -c 100000000; echo end") as run,
        ):
            self.assertEqual(await run.codes(60), [0])
        self.assertEqual(sum(len(piece.text) for piece in run.pieces if piece.task == 0
                             and piece.stream == "stdout"), 100_000_004)  # fmt: skip

    async def test_a_program_that_cannot_be_executed(self):
        async with self.backend() as backend:
            outcome = await self.outcome(backend, "1", "python", env={"PATH": "/no/such"})
        self.assertEqual(outcome, (127, "", "python3: No such file or directory\n"))

    async def test_a_pipe_that_nobody_reads_ends_its_writer(self):
        program = "yes | head -n 1; echo ${PIPESTATUS[0]}"
        async with self.backend() as backend:
            self.assertEqual(await self.outcome(backend, program), (0, "y\n141\n", ""))

    async def test_output_that_is_left_when_the_program_ends(self):
        # Of two that write the second goes on after the program, for less than the rest.
        program = "(sleep 0.3; echo late) & echo up"
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, program)
        self.assertEqual(text, "up\n")

    async def test_no_stream_is_left_open(self):
        start, handles = Commands.run, []

        async def keep(*given, **how):
            handles.append(await start(*given, **how))
            return handles[-1]

        with mock.patch.object(Commands, "run", keep):
            program = "while :; do echo up; sleep 0.05; done"
            async with self.backend() as backend, self.command(backend, program) as run:
                await run.printed("up")
                put = mock.patch.object(run.output, "put", side_effect=KeyError)
                with put, self.assertRaises(KeyError):
                    await run.codes()
                await self.eventually(lambda: not self.double.sandboxes[0]["streams"])
        # Nor does the SDK keep what it has handed over.
        self.assertIsNone(handles[0].stdout)

    async def test_a_second_start_leaves_nothing(self):
        self.double.fault("Start", frames=0, then="cut")
        async with self.backend() as backend, self.command(backend, "echo up; sleep 60") as run:
            await run.printed("up")
            self.assertEqual(self.double.calls["Start"], 2)
            self.assertEqual(os.listdir(self.home() / ".streamsite"), ["0"])


class AloneTests(SimpleTestCase):
    """A relay without a sandbox around it; we are the one who listens, or not."""

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home, self.kept = home.name, Path(home.name) / ".streamsite/0"

    async def relay(self, program, text=None, stdout=asyncio.subprocess.PIPE):
        arguments = ["mark", "15", "0", "0", "0", "bash", ""]
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", text or relay_text(), *arguments,
            env={**os.environ, "HOME": self.home, "STREAMSITE_TEXT": program},
            stdin=asyncio.subprocess.PIPE, stdout=stdout,
        )  # fmt: skip

    async def test_a_directory_that_cannot_be_made(self):
        self.kept.parent.mkdir()
        self.kept.write_text("a file")
        relay = await self.relay("echo up")
        out, _ = await relay.communicate()
        self.assertEqual((out, relay.returncode), (b"\x1emark Not a directory\n", 1))

    async def test_nobody_takes_its_output_any_more(self):
        relay = await self.relay("read x; echo up; exit 3")
        self.assertTrue(await relay.stdout.readline())
        relay._transport.get_pipe_transport(1).close()
        await relay.communicate(b"go\n")
        self.assertEqual(((self.kept / "stdout").read_text(), relay.returncode), ("up\n", 3))

    async def test_a_program_that_ends_while_its_output_waits(self):
        # So much that some is still in the program's pipe when the backlog is full.
        text = relay_text().replace("BACKLOG = 64 * 1024 * 1024", "BACKLOG = 64 * 1024")
        read, write = os.pipe()
        relay = await self.relay("head -c 190000 /dev/zero", text, write)
        os.close(write)
        await until((self.kept / "exit").exists)
        stdout = os.fdopen(read, "rb")
        self.addCleanup(stdout.close)
        out = await asyncio.to_thread(stdout.read)
        await relay.communicate()
        self.assertEqual(len(out.partition(b"\n")[2]), 190_000)


class DelayTests(SimpleTestCase):
    async def test_silence_counts_as_lost(self):
        launch, output = Launch("r", "alice", (Process(0, "bash", "true"),)), OutputQueue()
        reader = TaskReader(None, launch, launch.processes[0], {}, output, 60, 15)
        ends = iter([Silent, Broken, None])

        async def read_once():
            reader._marked("7")
            if error := next(ends):
                raise error
            return 0

        with mock.patch.object(reader, "_read_once", read_once):
            await reader.read()
        remarks = [piece.text for piece in await output.take()]
        self.assertRegex(remarks[0], r"lost for 45\.\d s")
        self.assertRegex(remarks[1], r"lost for 0\.\d s")

    async def test_patience_begins_anew_with_every_loss(self):
        launch = Launch("r", "alice", (Process(0, "bash", "true"),))
        reader = TaskReader(None, launch, launch.processes[0], {}, OutputQueue(), 0.2, 15)
        tries = iter("xxx")

        async def read_once():
            if not next(tries, None):
                return 0
            reader._marked("7")
            await asyncio.sleep(0.15)
            raise Broken

        with mock.patch.object(reader, "_read_once", read_once):
            self.assertEqual(await reader.read(), 0)

    async def test_they_grow_and_begin_anew_after_a_good_time(self):
        launch = Launch("r", "alice", (Process(0, "bash", "true"),))
        reader = TaskReader(None, launch, launch.processes[0], {}, OutputQueue(), 60, 15)
        delays = []

        async def read_once():
            if len(delays) == 3:
                reader._marked("7")
            if len(delays) == 5:
                reader._marked("7")
                reader._well -= 60
            if len(delays) == 7:
                return 0
            raise Broken

        async def sleep(seconds):
            delays.append(seconds)

        with (
            mock.patch.object(reader, "_read_once", read_once),
            mock.patch("runs.sandboxes.e2b_reader.asyncio.sleep", sleep),
        ):
            self.assertEqual(await reader.read(), 0)
        self.assertEqual(delays, [0.1, 0.2, 0.4, 0.8, 1.6, 0.1, 0.2])


class ParallelTests(E2BCase):
    async def test_one_that_cannot_be_started_ends_the_others(self):
        self.double.fault("Start", skip=1, **refusal(403, "not this one"))
        programs = [("bash", "echo up; sleep 60")] * 3
        async with self.backend() as backend, self.launch(backend, programs) as run:
            with self.assertRaisesMessage(SandboxError, "not this one"):
                await run.codes()
            self.assertTrue(all(task.done() for task in run.sandbox._work))
        self.assert_no_sandbox_is_left(backend)

    async def test_one_that_loses_its_connection_alone(self):
        self.double.fault("Start", skip=1, frames=20, then="cut")
        async with (
            self.backend() as backend,
            self.launch(backend, [("bash", COUNT)] * 3) as run,
        ):
            self.assertEqual(await run.codes(), [0, 0, 0])
        remarks = [piece.task for piece in run.pieces if piece.stream == "system"]
        self.assertEqual(len(remarks), 1)
        self.assertEqual(len({run.text(task=task) for task in range(3)}), 1)


class StdinTests(E2BCase):
    async def test_an_input_that_is_given_up_while_the_program_starts(self):
        async with self.backend() as backend:
            launch = Launch("r", "alice", (Process(0, "bash", "cat"),), stdin=True)
            sandbox = await backend.create(launch)
            self.double.fault("Start", delay=0.5)

            async def give_up():
                sending = asyncio.ensure_future(sandbox.send_stdin(0, "one\n"))
                await asyncio.wait({sending}, timeout=0.1)
                sending.cancel()
                await asyncio.wait({sending})

            await give_up()
            with mock.patch.object(backend, "create", mock.AsyncMock(return_value=sandbox)):
                async with self.command(backend, "cat") as run:
                    await give_up()
                    await run.sandbox.send_stdin(0, "two\n")
                    await run.sandbox.send_stdin(0, None)
                    self.assertEqual(await run.codes(), [0])
                    self.assertEqual(run.text(), "two\n")

    async def test_two_inputs_are_not_mixed(self):
        async with self.backend() as backend, self.command(backend, "cat", stdin=True) as run:
            inputs = [letter * 200_000 + "\n" for letter in "ab"]
            await asyncio.gather(*(run.sandbox.send_stdin(0, text) for text in inputs))
            await run.sandbox.send_stdin(0, None)
            self.assertEqual(await run.codes(), [0])
        self.assertIn(run.text(), ("".join(inputs), "".join(reversed(inputs))))

    async def test_e2b_refuses_it(self):
        async with (
            self.backend() as backend,
            self.command(backend, "echo up; cat", stdin=True) as run,
        ):
            await run.printed("up")
            for fault, sentence in (
                (refusal(429), "E2B's limit on sandboxes or requests is reached"),
                (refusal(502, "The sandbox was not found"), "The sandbox is gone"),
                ({"status": 404, "body": {"code": "not_found", "message": "process not found"}},
                 "closed already"),
            ):  # fmt: skip
                self.double.fault("SendInput", **fault)
                with self.assertRaisesMessage(SandboxError, sentence):
                    await run.sandbox.send_stdin(0, "x\n")
            with (
                mock.patch.object(run.sandbox._life.sandbox.commands, "send_stdin",
                                  side_effect=KeyError("ours")),
                self.assertRaisesMessage(KeyError, "ours"),
            ):  # fmt: skip
                await run.sandbox.send_stdin(0, "x\n")
            with self.assertRaisesMessage(SandboxError, "no task 7"):
                await run.sandbox.send_stdin(7, "x\n")
