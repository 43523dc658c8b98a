"""What goes wrong with E2B: whom it ends, whom it only delays, and what people are told."""

import asyncio
import os
from pathlib import Path
from unittest import mock

from runs.sandboxes.base import Launch, Process, SandboxError

from .e2b_case import E2BCase
from .support import processes_with, until

COUNT = "for i in $(seq 1 60); do echo $i; sleep 0.01; done"
COUNTED = "".join(f"{n}\n" for n in range(1, 61))
NOT_JSON = {"status": 500, "body": "<html>down</html>"}


def refusal(status, message="no"):
    return {"status": status, "body": {"code": status, "message": message}}


def ending(code, message):
    """An error in the end frame, with nothing before it."""
    return {"frames": 0, "then": {"code": code, "message": message}}


class CreateTests(E2BCase):
    async def refused(self, fault, sentence, **options):
        self.double.reset()
        self.double.fault("create", times=100, **fault)
        async with self.backend(**{"create_seconds": 0.5, **options}) as backend:
            with self.assertRaisesMessage(SandboxError, sentence):
                await self.outcome(backend, "true")
            self.assert_no_sandbox_is_left(backend)

    async def test_what_will_not_pass_is_said_at_once(self):
        for fault, sentence in (
            (refusal(401), "check E2B_API_KEY"),
            (refusal(403, "not in your team"), "E2B refused: 403: not in your team."),
            (refusal(404, "template 'x' not found"), "check the template's name"),
            (refusal(400, "timeout too long"), "E2B refused: 400: timeout too long."),
        ):
            with self.subTest(sentence):
                await self.refused(fault, sentence, create_seconds=10)
                self.assertEqual(self.double.calls["create"], 1)

    async def test_what_may_pass_is_said_in_the_end(self):
        for fault, sentence in (
            (refusal(429), "E2B's limit on sandboxes or requests is reached"),
            (refusal(503), "E2B is overloaded"),
            (refusal(500), "E2B refused: 500: no."),
            (refusal(502), "E2B refused: 502: no."),
            (refusal(504), "E2B refused: 504: no."),
            (NOT_JSON, "E2B sent an answer that cannot be read"),
            ({"cut": True}, "The sandbox could not be reached"),
        ):
            with self.subTest(sentence):
                await self.refused(fault, sentence)

    async def test_without_e2b(self):
        with mock.patch.dict(os.environ, {"E2B_API_URL": "http://127.0.0.1:9"}):
            async with self.backend(create_seconds=0.5) as backend:
                with self.assertRaisesMessage(SandboxError, "E2B cannot be reached"):
                    await self.outcome(backend, "true")

    async def test_without_a_key(self):
        with (
            mock.patch.dict(os.environ, {"E2B_API_KEY": ""}),
            self.assertRaisesMessage(SandboxError, "Set it, or set STREAMSITE_SANDBOX=local"),
        ):
            async with self.backend():
                pass

    async def test_it_waits_for_quota_and_says_so(self):
        reasons = []
        # Four tries are the SDK's own.
        self.double.fault("create", times=4, headers={"Retry-After": "0"}, **refusal(429))
        async with self.backend(create_seconds=10) as backend:
            launch = Launch("r", "alice", (Process(0, "bash", "true"),))
            sandbox = await backend.create(launch, reasons.append)
            await sandbox.close()
        self.assertEqual(len(reasons), 1)
        self.assertIn("the run waits for its turn", reasons[0])

    async def test_an_answer_that_never_arrives_makes_no_second_sandbox(self):
        self.double.fault("create", lost=True)
        async with self.backend(create_seconds=10) as backend:
            async with self.command(backend, "echo up") as run:
                self.assertEqual(await run.codes(), [0])
                self.assertEqual(len(self.double.sandboxes), 1)
            self.assert_no_sandbox_is_left(backend)

    async def test_cancelled_while_creating(self):
        self.double.fault("create", delay=0.5)
        async with self.backend() as backend:
            launch = Launch("r", "alice", (Process(0, "bash", "true"),))
            creating = asyncio.ensure_future(backend.create(launch))
            await self.eventually(lambda: self.double.calls.get("create"))
            creating.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await creating
        self.assertEqual(self.double.calls, {"create": 1, "kill": 1})
        self.assert_no_sandbox_is_left(backend)

    async def test_metadata_template_and_lifetime(self):
        options = {"template": "own", "sandbox_seconds": 77, "internet": False}
        async with self.backend(**options) as backend:
            async with self.command(backend, "true", run_id="run7", owner="bob"):
                [sandbox] = self.double.sandboxes
            self.assertIn("without the internet", backend.describe()["sentence"])
        wanted = {"run_id": "run7", "owner": "bob", "deployment": "tests"}
        self.assertEqual(sandbox["metadata"], wanted)
        options = sandbox["options"]
        self.assertEqual((options["templateID"], options["timeout"]), ("own", 77))
        self.assertFalse(options["allow_internet_access"])


class StartTests(E2BCase):
    async def test_what_passes_only_delays(self):
        for fault in (
            refusal(429),
            refusal(500),
            refusal(502, "The sandbox is running but port is not open"),
            refusal(503),
            refusal(504),
            NOT_JSON,
            refusal(502, "bad gateway"),
            {"cut": True},
            {"frames": 0, "then": "cut"},
            {"frames": 0, "then": {"code": "internal", "message": "boom"}},
        ):
            with self.subTest(fault=fault):
                self.double.fault("Start", times=2, **fault)
                async with self.backend() as backend:
                    # A second start would be seen.
                    outcome = await self.outcome(backend, "echo up >> ~/f; cat ~/f; exit 4")
                self.assertEqual(outcome, (4, "up\n", ""))

    async def test_what_does_not_pass_ends_the_run(self):
        for fault, sentence in (
            (refusal(401), "E2B refused access to the sandbox"),
            (refusal(403, "no such user"), "E2B refused: PERMISSION_DENIED: no such user."),
            (refusal(404, "no process service"), "E2B refused: no process service."),
            (refusal(502, "The sandbox was not found"), "The sandbox is gone"),
            (ending("unauthenticated", "invalid username: 'x'"), "E2B refused access"),
            (ending("invalid_argument", "bad stdin"), "E2B refused: bad stdin."),
            (ending("not_found", "no such thing"), "E2B refused: no such thing."),
            (ending("permission_denied", "not you"), "E2B refused: PERMISSION_DENIED: not you."),
        ):
            with self.subTest(sentence):
                self.double.fault("Start", **fault)
                async with self.backend() as backend:
                    with self.assertRaisesMessage(SandboxError, sentence):
                        await self.outcome(backend, "true")
                    self.assert_no_sandbox_is_left(backend)

    async def test_a_start_that_is_not_answered(self):
        self.double.fault("Start", delay=30)
        with mock.patch("runs.sandboxes.e2b_reader.START_SECONDS", 0.3):
            async with self.backend() as backend:
                outcome = await self.outcome(backend, "echo up >> ~/f; cat ~/f; exit 4")
        self.assertEqual(outcome, (4, "up\n", ""))

    async def test_what_does_not_pass_in_time(self):
        self.double.fault("Start", times=100, **refusal(503))
        async with self.backend(patience_seconds=0.3) as backend:
            with self.assertRaisesMessage(SandboxError, "could not be reached any more"):
                await self.outcome(backend, "true")

    async def test_what_a_login_shell_says_is_not_the_programs(self):
        self.double.settings(profile="echo welcome; printf '\\303' >&2\n")
        async with self.backend() as backend, self.command(backend, COUNT, "bash") as run:
            await run.printed("\n7\n")
            await asyncio.to_thread(self.double.drop, run.sandbox.id)
            self.assertEqual(await run.codes(), [0])
        self.assertEqual((run.text(), run.text("stderr")), (COUNTED, ""))

    async def test_a_program_has_the_environment_of_one_login_shell(self):
        self.double.settings(profile="echo >> ~/logins; export A=profile B=profile C=profile\n")
        program = "echo $A $B $C; wc -l < ~/logins; env | grep -c STREAMSITE"
        env = {"A": "ours", "STREAMSITE_TEXT": "ours"}
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, f"B=own; {program}", env=env)
            self.assertEqual(text, "ours own profile\n1\n1\n")
            # In a file and as Python.
            _, text, _ = await self.outcome(backend, f"{program}\n#{'x' * 200_000}", env=env)
            self.assertEqual(text, "ours profile profile\n1\n1\n")
            python = "import os; print(os.environ['A'], os.environ['C'])"
            _, text, _ = await self.outcome(backend, python, "python", env=env)
            self.assertEqual(text, "ours profile\n")

    async def test_a_login_shells_functions_are_there(self):
        profile = "welcome() { echo hello $1; }\nwelcome you >&2; set -e\n"
        self.double.settings(profile=profile)
        async with self.backend() as backend:
            for more in ("", f"\n#{'x' * 200_000}"):
                _, text, _ = await self.outcome(
                    backend, f"welcome me; echo $A{more}", env={"A": "a"}
                )
                self.assertEqual(text, "hello me\na\n")

    async def test_a_template_without_python(self):
        for profile in ("PATH=/nowhere\n", "exit 0\n"):
            self.double.settings(profile=profile)
            async with self.backend() as backend:
                with self.assertRaisesMessage(SandboxError, "the sandbox has no python3"):
                    await self.outcome(backend, "true")


class WhileItRunsTests(E2BCase):
    async def test_a_stream_that_breaks_is_read_on(self):
        for then in (
            "cut",
            "end",
            {"code": "internal", "message": "boom"},
            {"code": "unavailable", "message": "the connection ended"},
            {"code": "deadline_exceeded", "message": "context deadline exceeded"},
        ):
            with self.subTest(then=then):
                self.double.fault("Start", frames=20, then=then)
                async with self.backend() as backend, self.command(backend, COUNT) as run:
                    self.assertEqual(await run.codes(), [0])
                self.assertEqual(run.text(), COUNTED)
                self.assertIn("Nothing was missed", run.text("system"))

    async def test_patience_is_counted_from_the_break(self):
        self.double.fault("Start", frames=50, then="cut")
        async with self.backend(patience_seconds=0.3) as backend:
            self.assertEqual(await self.outcome(backend, COUNT), (0, COUNTED, ""))

    async def test_a_sandbox_that_dies(self):
        for then in ("die", "killed"):
            with self.subTest(then):
                if then == "die":
                    self.double.fault("Start", frames=20, then="die")
                async with self.backend() as backend, self.command(backend, COUNT) as run:
                    if then == "killed":
                        await run.printed("\n7\n")
                        await asyncio.to_thread(self.double.die, run.sandbox.id)
                    with self.assertRaisesMessage(SandboxError, "The sandbox is gone"):
                        await run.codes()
                    self.assertTrue(COUNTED.startswith(run.text()) and run.text())
                self.assert_no_sandbox_is_left(backend)

    async def test_a_sandbox_lives_as_long_as_its_run(self):
        async with self.backend(sandbox_seconds=1) as backend:
            self.assertEqual(await self.outcome(backend, "sleep 2; echo up"), (0, "up\n", ""))

    async def test_more_time_is_asked_for_again_when_it_was_refused(self):
        self.double.fault("timeout", **refusal(500))
        async with self.backend(sandbox_seconds=1) as backend:
            self.assertEqual(await self.outcome(backend, "sleep 2; echo up"), (0, "up\n", ""))

    async def test_characters_cut_anywhere_and_both_streams_at_once(self):
        self.double.settings(chunk_bytes=1)
        program = "for i in $(seq 1 30); do echo ä€😀; echo ü$i >&2; done"
        async with self.backend() as backend:
            _, text, error = await self.outcome(backend, program)
        self.assertEqual(text, "ä€😀\n" * 30)
        self.assertEqual(error, "".join(f"ü{n}\n" for n in range(1, 31)))

    async def test_a_slow_consumer_slows_the_program_down(self):
        async with (
            self.backend() as backend,
            self.command(backend, "yes | head -c 400000000; echo >> ~/over", limit=4096) as run,
        ):
            run.taking.clear()
            home = Path(self.double.sandboxes[0]["home"])
            kept = home / ".streamsite/0/stdout"
            await until(lambda: run.output.full and kept.stat().st_size > 64 * 1024**2, 30)
            self.assertLess(run.output._bytes, 256 * 1024)
            size = 0
            while size < (size := kept.stat().st_size):
                await asyncio.sleep(0.3)
            self.assertLess(size, 80 * 1024**2)
            self.assertFalse((home / "over").exists())

    async def test_a_mistake_of_ours_is_not_told_as_one_of_e2bs(self):
        async with self.backend() as backend, self.command(backend, COUNT) as run:
            with (
                mock.patch.object(run.output, "put", side_effect=RuntimeError("ours")),
                self.assertRaisesMessage(RuntimeError, "ours"),
            ):
                await run.codes()
        self.assertEqual(self.double.calls["Start"], 1)
        self.assert_no_sandbox_is_left(backend)

    async def test_a_program_that_kills_what_keeps_its_output(self):
        async with self.backend(patience_seconds=1) as backend:
            with self.assertRaisesMessage(SandboxError, "exit code are lost"):
                await self.outcome(backend, "echo up; kill -9 $PPID; sleep 60")

    async def test_stdin_of_a_program_that_has_ended_it(self):
        async with (
            self.backend() as backend,
            self.command(backend, "exec <&-; echo up; sleep 60", stdin=True) as run,
        ):
            await run.printed("up")
            with self.assertRaisesMessage(SandboxError, "input is closed"):
                for _ in range(5):
                    await run.sandbox.send_stdin(0, "x\n")

    async def test_stdin_of_a_program_that_does_not_read(self):
        with mock.patch("runs.sandboxes.e2b_sandbox.STDIN_SECONDS", 0.5):
            async with (
                self.backend() as backend,
                self.command(backend, "echo up; sleep 60", stdin=True) as run,
            ):
                await run.printed("up")
                with self.assertRaisesMessage(SandboxError, "does not read its input"):
                    await run.sandbox.send_stdin(0, "x" * 500_000)

    async def test_the_environment_is_on_no_command_line(self):
        env = {"VALUE": "a-long-secret", "PATH": "/no/such", "LD_PRELOAD": "/no/such.so"}
        async with (
            self.backend() as backend,
            self.command(backend, "echo $VALUE; sleep 60", env=env) as run,
        ):
            await run.printed("a-long-secret")
            self.assertEqual(processes_with("a-long-secret"), [])
            self.assertNotIn("a-long-secret", str(self.double.sandboxes[0]["options"]))
