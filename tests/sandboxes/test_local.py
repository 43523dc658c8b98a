"""Programs as the local sandbox runs them, confined and not."""

import asyncio
import os
import random
import time
import uuid
from unittest import mock

from runs.sandboxes.base import Launch, Process, SandboxError

from .support import LocalCase, processes_with, until


class Programs:
    async def test_output_and_exit_code(self):
        async with (
            self.backend() as backend,
            self.command(backend, "echo out; echo err >&2; exit 3") as run,
        ):
            self.assertEqual(await run.codes(), [3])
            self.assertEqual(run.exits, [(0, 3)])
            self.assertEqual((run.text(), run.text("stderr")), ("out\n", "err\n"))
            self.assertRegex(run.sandbox.id, r"\Alocal-[0-9a-f]{12}\Z")

    async def test_standard_streams_can_be_opened_by_name(self):
        async with self.backend() as backend:
            outcome = await self.outcome(backend, "echo out >/dev/stdout; echo err >/dev/stderr")
            self.assertEqual(outcome, (0, "out\n", "err\n"))

    async def test_signals_are_128_and_more(self):
        async with self.backend() as backend:
            self.assertEqual(await self.outcome(backend, "kill -9 $$"), (137, "", ""))
            self.assertEqual(await self.outcome(backend, "kill -TERM $$"), (143, "", ""))

    async def test_python_with_the_servers_packages(self):
        async with self.backend() as backend:
            program = "import orjson, sys; print(orjson.dumps([1])); sys.exit(4)"
            self.assertEqual(await self.outcome(backend, program, "python"), (4, "b'[1]'\n", ""))

    async def test_the_servers_environment_stays_with_the_server(self):
        secret = uuid.uuid4().hex
        look = "cat /proc/self/environ /proc/$PPID/environ /proc/1/environ 2>/dev/null; true"
        with mock.patch.dict(os.environ, {"STREAMSITE_SECRET_KEY": secret}):
            async with self.backend() as backend:
                _, text, _ = await self.outcome(backend, look)
        self.assertIn("PYTHONUNBUFFERED=1", text)
        self.assertNotIn(secret, text)

    async def test_the_users_environment_is_on_no_command_line(self):
        secret = f"it's {uuid.uuid4().hex}\n $(echo no)"
        async with self.backend() as backend:
            program = 'echo "$VALUE"; read wait'
            async with self.command(backend, program, env={"VALUE": secret}, stdin=True) as run:
                await run.printed(secret + "\n")
                self.assertEqual(processes_with(secret), [])
                await run.sandbox.send_stdin(0, None)
                self.assertEqual(await run.codes(), [1])

    async def test_inherited_descriptors_do_not_reach_programs(self):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, "ls /proc/$$/fd; :")
        self.assertLessEqual(set(text.split()), {"0", "1", "2", "255"})

    async def test_stdin(self):
        async with (
            self.backend() as backend,
            self.command(backend, "cat; echo end", stdin=True) as run,
        ):
            await run.sandbox.send_stdin(0, "grüße\n")
            await run.printed("grüße\n")
            await run.sandbox.send_stdin(0, None)
            self.assertEqual(await run.codes(), [0])
            self.assertEqual(run.text(), "grüße\nend\n")
            with self.assertRaisesMessage(SandboxError, "closed already"):
                await run.sandbox.send_stdin(0, "more")

    async def test_stdin_of_a_program_that_does_not_read(self):
        async with (
            self.backend() as backend,
            self.command(backend, "echo up; sleep 60", stdin=True) as run,
        ):
            await run.printed("up")
            with self.assertRaisesMessage(SandboxError, "does not read its input"):
                for _ in range(20):
                    await run.sandbox.send_stdin(0, "x" * 100_000)

    async def test_a_large_input_arrives_whole(self):
        async with (
            self.backend() as backend,
            self.command(backend, "wc -c", stdin=True) as run,
        ):
            await run.sandbox.send_stdin(0, "x" * 900_000)
            await run.sandbox.send_stdin(0, None)
            self.assertEqual(await run.codes(), [0])
            self.assertEqual(run.text().strip(), "900000")

    async def test_no_stdin_unless_asked_for(self):
        async with self.backend() as backend, self.command(backend, "cat; echo end") as run:
            with self.assertRaisesMessage(SandboxError, "launched without stdin"):
                await run.sandbox.send_stdin(0, "x")
            self.assertEqual(await run.codes(), [0])

    async def test_text_is_what_python_makes_of_the_bytes(self):
        rng = random.Random(7)
        whole = bytes(rng.choices(b"a\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xff\x00\xed", k=3000))
        program = (
            "import os, time\n"
            f"whole = {whole!r}\n"
            "while whole:\n"
            "    os.write(1, whole[:7]); whole = whole[7:]\n"
        )
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, program, "python")
        self.assertEqual(text, whole.decode(errors="replace").replace("\0", "\u2400"))

    async def test_a_program_that_closes_its_output_is_waited_for(self):
        async with self.backend() as backend:
            program = "exec >&- 2>&-; read go; exit 5"
            async with self.command(backend, program, stdin=True) as run:
                await until(lambda: all(reader.ended.done() for reader in run.sandbox._readers))
                await run.sandbox.send_stdin(0, "go\n")
                self.assertEqual(await run.codes(), [5])

    async def test_what_a_program_leaves_behind_is_killed(self):
        mark = f"86400.{random.randrange(10**9)}"
        program = f"sleep {mark} & setsid sleep {mark} & (setsid -f sleep {mark}); echo done"
        async with self.backend() as backend:
            started = time.monotonic()
            self.assertEqual(await self.outcome(backend, program), (0, "done\n", ""))
            self.assertLess(time.monotonic() - started, 1)
            await until(lambda: not processes_with(mark))

    async def test_kill_lets_a_trap_run(self):
        async with self.backend() as backend:
            program = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done"
            async with self.command(backend, program) as run:
                await run.printed("up")
                await run.sandbox.kill()
                self.assertEqual(await run.codes(), [3])
                self.assertEqual(run.text(), "up\nbye\n")

    async def test_kill_ends_whatever_a_program_does(self):
        mark = f"86400.{random.randrange(10**9)}"
        programs = {
            "ignores": f"trap '' TERM; echo up; sleep {mark}; sleep {mark}",
            "children": f"trap '' TERM; setsid sleep {mark} & echo up; sleep {mark}",
            "stopped": f"sleep {mark} & echo up; kill -STOP $$",
        }
        async with self.backend() as backend:
            for name, program in programs.items():
                with self.subTest(name):
                    async with self.command(backend, program) as run:
                        await run.printed("up")
                        started = time.monotonic()
                        await run.sandbox.kill()
                        [code] = await run.codes()
                        self.assertLess(time.monotonic() - started, 1)
                        self.assertIn(code, (137, 143))
                    await until(lambda: not processes_with(mark))

    async def test_kill_with_a_full_pipe(self):
        async with (
            self.backend() as backend,
            self.command(backend, "trap '' TERM PIPE; while :; do echo y; done") as run,
        ):
            run.taking.clear()
            await until(lambda: run.output.full)
            started = time.monotonic()
            await run.sandbox.kill()
            async with asyncio.timeout(1):
                self.assertEqual(await run.run, [137])
            self.assertLess(time.monotonic() - started, 1)

    async def test_kill_before_the_start(self):
        async with self.backend() as backend:
            sandbox = await backend.create(Launch("r", "alice", (Process(0, "bash", "echo no"),)))
            await sandbox.kill()
            self.assertEqual(await sandbox.run(None, None), [None])
            await sandbox.close()

    async def test_a_flood_waits_for_its_reader_and_loses_nothing(self):
        async with (
            self.backend() as backend,
            self.command(backend, "seq 1 300000", limit=64 * 1024) as run,
        ):
            run.taking.clear()
            await until(lambda: run.output.full)
            self.assertLess(run.output._bytes, 200 * 1024)
            run.taking.set()
            self.assertEqual(await run.codes(), [0])
            self.assertEqual(run.text().split(), [str(n) for n in range(1, 300001)])

    async def test_parallel_tasks_share_a_directory(self):
        programs = [
            ("bash", "until [ -e ready ]; do sleep 0.01; done; cat ready; exit 1"),
            ("bash", "echo hello > part && mv part ready"),
            ("python", "print('three')"),
        ]
        async with self.backend() as backend, self.launch(backend, programs) as run:
            self.assertEqual(await run.codes(), [1, 0, 0])
            self.assertEqual([run.text(task=n) for n in range(3)], ["hello\n", "", "three\n"])
            self.assertEqual(sorted(run.exits), [(0, 1), (1, 0), (2, 0)])

    async def test_the_largest_program(self):
        program = "echo start\n" + "#" * 80 + "\n"
        program += ": " + "x" * (256 * 1024 - len(program) - 10) + "\necho end"
        async with self.backend() as backend:
            self.assertEqual(await self.outcome(backend, program), (0, "start\nend\n", ""))

    async def test_working_directory(self):
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, "pwd; echo $HOME; touch file; ls")
            self.assertEqual(len({*text.split()}), 2)
            _, text, _ = await self.outcome(backend, "pwd", cwd="/usr/share")
            self.assertEqual(text, "/usr/share\n")
            for missing in ("/no/such", "sub", "../../root/x"):
                with self.assertRaisesMessage(SandboxError, "does not exist in the sandbox"):
                    await self.outcome(backend, "pwd", cwd=missing)
            self.assertEqual(list(self.scratch.glob("run-*")), [])

    async def test_what_cannot_be_run_is_said(self):
        refused = [
            ({"language": "r"}, "has no language 'r'; it has bash and python"),
            ({"program": "echo \0"}, "NUL"),
            ({"env": {"A-B": "x"}}, "environment name 'A-B'"),
            ({"env": {"A": "x\0"}}, "environment value A"),
            ({"env": {"A": "x" * 200_000}}, "128 KiB"),
            ({"env": {f"A{n}": "x" * 100_000 for n in range(12)}}, "1 MiB"),
        ]
        async with self.backend() as backend:
            for fields, message in refused:
                with self.subTest(message), self.assertRaisesMessage(SandboxError, message):
                    await self.outcome(backend, **{"program": "true", **fields})

    async def test_limits(self):
        async with self.backend(memory_bytes=512 * 1024**2, file_bytes=1024**2) as backend:
            code, _, _ = await self.outcome(backend, "head -c 2000000 /dev/zero > file")
            self.assertNotEqual(code, 0)
            code, _, error = await self.outcome(backend, "len(bytearray(10**9))", "python")
            self.assertEqual(code, 1)
            self.assertIn("MemoryError", error)
            self.assertEqual(await self.outcome(backend, "ulimit -c"), (0, "0\n", ""))

    async def test_closing_removes_the_directory_whatever_is_in_it(self):
        kept = self.top / "kept"
        kept.mkdir(mode=0o700)
        program = f"mkdir -p a/b; touch a/b/c; ln -s {kept} link; chmod 000 a/b a; chmod 500 ."
        async with self.backend() as backend:
            run = self.command(backend, program)
            async with run:
                self.assertEqual(await run.codes(), [0])
                self.assertEqual(len(list(self.scratch.glob("run-*"))), 1)
            await run.sandbox.close()
        self.assertEqual(list(self.scratch.glob("run-*")), [])
        self.assertTrue(kept.exists())

    async def test_many_at_once(self):
        async with self.backend() as backend:
            outcomes = await asyncio.gather(
                *(self.outcome(backend, f"echo {n}") for n in range(30))
            )
        self.assertEqual(outcomes, [(0, f"{n}\n", "") for n in range(30)])

    async def test_a_cancelled_run_leaves_nothing(self):
        mark = f"86400.{random.randrange(10**9)}"
        async with self.backend() as backend:
            async with self.command(backend, f"echo up; sleep {mark}") as run:
                await run.printed("up")
                run.run.cancel()
                await asyncio.wait({run.run})
            await until(lambda: not processes_with(mark))


class ConfinedPrograms(Programs, LocalCase):
    confine = True


class UnconfinedPrograms(Programs, LocalCase):
    confine = False

    async def test_it_says_so(self):
        async with self.backend() as backend:
            self.assertFalse(backend.confined)
            self.assertIn("with the server's own rights", backend.describe()["sentence"])

    async def test_it_must_be_allowed(self):
        with self.assertRaisesMessage(SandboxError, "STREAMSITE_LOCAL_ALLOW_UNCONFINED=1"):
            async with self.backend(allow_unconfined=False):
                pass

    async def test_a_run_kills_only_its_own(self):
        async with (
            self.backend() as backend,
            self.command(backend, "echo up; read x; exit 7", stdin=True) as other,
        ):
            await other.printed("up")
            await self.outcome(backend, "true")
            await other.sandbox.send_stdin(0, "go\n")
            self.assertEqual(await other.codes(), [7])

    async def test_without_bubblewrap(self):
        self.confine = False
        with mock.patch("shutil.which", return_value=None):
            async with self.backend(confine=True) as backend:
                pass
        self.assertEqual(backend.why, "bubblewrap (bwrap) is not installed.")
