"""A connection to E2B that falls silent, and a program that only says nothing."""

import asyncio
from unittest import mock

from runs.sandboxes.base import SandboxError

from .e2b_case import E2BCase
from .support import until
from .test_e2b_trouble import COUNT, refusal

BEAT = 0.1
LONG = "for i in $(seq 1 120); do echo $i; sleep 0.01; done"
LONG_COUNTED = "".join(f"{n}\n" for n in range(1, 121))


class SilenceTests(E2BCase):
    def backend(self, **options):
        return super().backend(**{"beat_seconds": BEAT, **options})

    def starts(self):
        return self.double.calls.get("Start", 0)

    async def test_a_connection_that_falls_silent_is_read_on(self):
        for then in ("silent", "stuck"):
            with self.subTest(then):
                self.double.fault("Start", frames=20, then=then)
                async with self.backend() as backend, self.command(backend, LONG) as run:
                    self.assertEqual(await run.codes(), [0])
                self.assertEqual(run.text(), LONG_COUNTED)
                self.assertRegex(
                    run.text("system"), r"lost for 0\.[3-9] s\. Nothing was missed\.\n\Z"
                )
                self.assert_no_sandbox_is_left(backend)

    async def test_silence_after_the_program_has_ended(self):
        self.double.fault("Start", frames=3, then="silent")
        async with self.backend() as backend, self.command(backend, "echo up; exit 5") as run:
            self.assertEqual(await run.codes(), [5])
            self.assertEqual(run.text(), "up\n")

    async def test_silence_again_and_again(self):
        self.double.fault("Start", times=2, frames=15, then="silent")
        async with self.backend() as backend, self.command(backend, LONG) as run:
            self.assertEqual(await run.codes(), [0])
        self.assertEqual(run.text(), LONG_COUNTED)
        self.assertEqual(run.text("system").count("Nothing was missed"), 2)

    async def test_silence_after_output_that_we_were_slow_to_take(self):
        self.double.fault("Start", frames=20, then="silent")
        async with self.backend() as backend, self.command(backend, LONG, limit=64) as run:
            self.assertEqual(await run.codes(), [0])
        self.assertEqual(run.text(), LONG_COUNTED)

    async def test_silence_before_the_program_has_begun(self):
        self.double.fault("Start", frames=1, then="silent")
        with mock.patch("runs.sandboxes.e2b_reader.LOGIN_SECONDS", 0.5):
            async with self.backend() as backend:
                # A second start would be seen.
                outcome = await self.outcome(backend, "echo up >> ~/f; cat ~/f; exit 4")
        self.assertEqual(outcome, (4, "up\n", ""))

    async def test_a_login_shell_may_take_longer_than_beats(self):
        self.double.settings(profile="sleep 0.8\n")
        async with self.backend() as backend:
            self.assertEqual(await self.outcome(backend, "echo up"), (0, "up\n", ""))
        self.assertEqual(self.starts(), 1)

    async def test_silence_that_does_not_end(self):
        self.double.fault("Start", frames=20, then="silent")
        self.double.fault("Start", times=100, **refusal(503))
        async with self.backend(patience_seconds=0.5) as backend:
            with self.assertRaisesMessage(SandboxError, "could not be reached any more"):
                await self.outcome(backend, LONG)
            self.assert_no_sandbox_is_left(backend)

    async def test_only_silence_until_patience_ends(self):
        self.double.fault("Start", times=100, frames=1, then="silent")
        with mock.patch("runs.sandboxes.e2b_reader.LOGIN_SECONDS", 0.3):
            async with self.backend(patience_seconds=0.5) as backend:
                with self.assertRaisesMessage(SandboxError, "could not be reached any more"):
                    await self.outcome(backend, "true")

    async def test_a_silent_sandbox_that_has_died(self):
        self.double.fault("Start", frames=10, then="silent")
        async with self.backend() as backend, self.command(backend, COUNT) as run:
            await run.printed("\n7\n")
            await asyncio.to_thread(self.double.die, run.sandbox.id)
            with self.assertRaisesMessage(SandboxError, "The sandbox is gone"):
                await run.codes()

    async def test_kill_while_it_is_silent(self):
        self.double.fault("Start", frames=10, then="silent")
        async with self.backend(beat_seconds=60) as backend, self.command(backend, COUNT) as run:
            await run.printed("\n7\n")
            await run.sandbox.kill()
            self.assertEqual(await run.codes(1), [None])
        self.assert_no_sandbox_is_left(backend)

    async def test_a_silent_program_is_waited_for_and_its_text_is_its_own(self):
        # In mid-character on both streams, and followed by the same bytes that were begun.
        program = (
            "printf 'a\\303'; printf '\\360\\237\\230' >&2; sleep 0.8; "
            "printf '\\244\\n\\036'; printf '\\200' >&2; sleep 0.8; echo b"
        )
        async with self.backend() as backend, self.command(backend, program) as run:
            self.assertEqual(await run.codes(), [0])
        self.assertEqual((run.text(), run.text("stderr")), ("aä\n\x1eb\n", "😀"))
        self.assertEqual((run.text("system"), self.starts()), ("", 1))

    async def test_a_silent_program_that_is_followed_by_another_reader(self):
        program = "printf 'a\\303'; sleep 1.5; printf '\\244b\\n'"
        async with self.backend() as backend, self.command(backend, program) as run:
            await run.printed("a")
            await asyncio.to_thread(self.double.drop, run.sandbox.id)
            self.assertEqual(await run.codes(), [0])
        self.assertEqual(run.text(), "aäb\n")
        self.assertEqual((run.text("system").count("lost for"), self.starts()), (1, 2))

    async def test_output_that_we_do_not_take_is_no_silence(self):
        program = "yes | head -c 20000000"
        async with self.backend() as backend, self.command(backend, program, limit=4096) as run:
            run.taking.clear()
            await until(lambda: run.output.full)
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(8 * BEAT):
                    await asyncio.shield(run.run)
            run.taking.set()
            self.assertEqual(await run.codes(30), [0])
        self.assertEqual(len(run.text()), 20_000_000)
        self.assertEqual((run.text("system"), self.starts()), ("", 1))

    async def test_input_goes_by_the_connection_that_works(self):
        import e2b

        self.double.fault("Start", frames=3, then="silent")
        connect = e2b.AsyncSandbox._cls_connect_sandbox
        asked = []

        async def connected(cls, *given, **how):
            asked.append(how)
            return await connect.__func__(cls, *given, **how)

        with mock.patch.object(e2b.AsyncSandbox, "_cls_connect_sandbox", classmethod(connected)):
            async with (
                self.backend() as backend,
                self.command(backend, "echo up; read x; echo $x; sleep 60", stdin=True) as run,
            ):
                await until(lambda: "Nothing was missed" in run.text("system"))
                broken = run.sandbox._life.sandbox.commands
                with mock.patch.object(broken, "send_stdin", side_effect=OSError):
                    await run.sandbox.send_stdin(0, "go\n")
                await run.printed("go")
        # Another connection than the one that all calls share.
        self.assertEqual(asked, [{"http_version": "1.1"}])
