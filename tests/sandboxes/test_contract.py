"""What the contract promises of a run, the same in every kind of sandbox."""

import json
import random
import uuid

from runs.sandboxes.base import Launch, Process, SandboxError

from .e2b_case import E2BCase
from .support import LocalCase


class Contract:
    async def test_output_and_exit_code(self):
        async with self.backend() as backend:
            program = "echo out; echo err >&2; exit 3"
            async with self.command(backend, program) as run:
                self.assertEqual(await run.codes(), [3])
        self.assertEqual((run.text(), run.text("stderr")), ("out\n", "err\n"))
        self.assertEqual(run.exits, [(0, 3)])

    async def test_exit_codes(self):
        programs = {
            "true": 0,
            "exit 255": 255,
            "kill -9 $$": 137,
            "kill -TERM $$": 143,
            "no-such-command-here": 127,
        }
        async with self.backend() as backend:
            for program, expected in programs.items():
                with self.subTest(program):
                    code, _, _ = await self.outcome(backend, program)
                    self.assertEqual(code, expected)

    async def test_python_as_a_script(self):
        program = "import sys; print(sys.argv[1:], flush=True); sys.exit(4)"
        async with self.backend() as backend:
            self.assertEqual(await self.outcome(backend, program, "python"), (4, "[]\n", ""))
            code, _, error = await self.outcome(backend, "1/0", "python")
        self.assertEqual(code, 1)
        self.assertIn('main.py", line 1', error)
        self.assertIn("ZeroDivisionError", error)

    async def test_text_is_what_python_makes_of_the_bytes(self):
        rng = random.Random(7)
        whole = bytes(rng.choices(b"a\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xff\x00\xed", k=3000))
        program = (
            "import os\n"
            f"whole = {whole!r}\n"
            "while whole:\n"
            "    os.write(1, whole[:7]); whole = whole[7:]\n"
        )
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, program, "python")
        self.assertEqual(text, whole.decode(errors="replace").replace("\0", "\u2400"))

    async def test_standard_streams_can_be_opened_by_name(self):
        async with self.backend() as backend:
            outcome = await self.outcome(
                backend, "echo 1; echo 2 >/dev/stdout; echo 3; echo err >/dev/stderr"
            )
        self.assertEqual(outcome, (0, "1\n2\n3\n", "err\n"))

    async def test_environment(self):
        secret = f"it's {uuid.uuid4().hex}\n $(echo no)"
        async with self.backend() as backend:
            outcome = await self.outcome(backend, 'echo "$VALUE"', env={"VALUE": secret})
        self.assertEqual(outcome, (0, f"{secret}\n", ""))

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

    async def test_no_stdin_unless_asked_for(self):
        async with self.backend() as backend, self.command(backend, "cat; echo end") as run:
            with self.assertRaisesMessage(SandboxError, "launched without stdin"):
                await run.sandbox.send_stdin(0, "x")
            self.assertEqual(await run.codes(), [0])

    async def test_a_large_input_arrives_whole(self):
        async with self.backend() as backend, self.command(backend, "wc -c", stdin=True) as run:
            await run.sandbox.send_stdin(0, "x" * 300_000)
            await run.sandbox.send_stdin(0, None)
            self.assertEqual(await run.codes(), [0])
            self.assertEqual(run.text().strip(), "300000")

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
            program = f"print(len({'x' * 200_000!r}))"
            self.assertEqual(await self.outcome(backend, program, "python"), (0, "200000\n", ""))

    async def test_working_directory(self):
        async with self.backend() as backend:
            _, text, _ = await self.outcome(backend, "pwd; echo $HOME")
            self.assertEqual(len({*text.split()}), 1)
            _, text, _ = await self.outcome(backend, "pwd", cwd="/usr/share")
            self.assertEqual(text, "/usr/share\n")
            for missing in ("/no/such", "sub"):
                with self.assertRaisesMessage(SandboxError, "does not exist"):
                    await self.outcome(backend, "pwd", cwd=missing)

    async def test_a_flood_waits_for_its_reader_and_loses_nothing(self):
        async with (
            self.backend() as backend,
            self.command(backend, "seq 1 300000", limit=64 * 1024) as run,
        ):
            run.taking.set()
            self.assertEqual(await run.codes(), [0])
            self.assertEqual(run.text(), "".join(f"{n}\n" for n in range(1, 300001)))

    async def test_what_is_left_behind_does_not_hold_up_the_end(self):
        async with self.backend() as backend:
            outcome = await self.outcome(backend, "sleep 86400 & (setsid -f sleep 86400); echo up")
        self.assertEqual(outcome, (0, "up\n", ""))

    async def test_kill(self):
        async with (
            self.backend() as backend,
            self.command(backend, "trap '' TERM; echo up; sleep 86400") as run,
        ):
            await run.printed("up")
            await run.sandbox.kill()
            [code] = await run.codes(2)
            self.assertIn(code, (None, 137, 143))
            await run.sandbox.kill()

    async def test_kill_before_the_start(self):
        async with self.backend() as backend:
            sandbox = await backend.create(Launch("r", "alice", (Process(0, "bash", "echo no"),)))
            await sandbox.kill()
            self.assertEqual(await sandbox.run(None, None), [None])
            await sandbox.close()

    async def test_what_cannot_be_run_is_said(self):
        refused = [
            ({"language": "cobol"}, "no language 'cobol'"),
            ({"program": "echo \0"}, "NUL"),
            ({"env": {"A-B": "x"}}, "environment name 'A-B'"),
            ({"env": {"A": "x\0"}}, "environment value A"),
        ]
        async with self.backend() as backend:
            for fields, message in refused:
                with self.subTest(message), self.assertRaisesMessage(SandboxError, message):
                    await self.outcome(backend, **{"program": "true", **fields})

    async def test_a_cell_and_its_result(self):
        code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7"
        async with self.backend() as backend, self.cell(backend, code) as run:
            self.assertEqual(await run.codes(30), [0])
        self.assertEqual((run.text(), run.text("stderr")), ("out\n", "err\n"))
        [result] = [piece for piece in run.pieces if piece.stream == "result"]
        self.assertEqual(result.text, "42\n")
        self.assertEqual(json.loads(result.data)["text/plain"], "42")

    async def test_a_cell_that_raises(self):
        async with self.backend() as backend:
            codes, pieces = await self.cell_outcome(backend, "raise ValueError('no')")
        self.assertEqual(codes, [1])
        [error] = [piece for piece in pieces if piece.stream == "error"]
        data = json.loads(error.data)
        self.assertEqual((data["name"], data["value"]), ("ValueError", "no"))
        self.assertEqual(error.text, f"{data['traceback']}\n")

    async def test_a_cell_with_environment_and_directory(self):
        code = "import os; print(os.environ['VALUE'], os.getcwd())"
        async with self.backend() as backend:
            fields = {"env": {"VALUE": "x y"}, "cwd": "/usr/share"}
            _, pieces = await self.cell_outcome(backend, code, **fields)
            self.assertEqual(pieces[0].text, "x y /usr/share\n")
            with self.assertRaisesMessage(SandboxError, "does not exist"):
                await self.cell_outcome(backend, "1", cwd="/no/such")


class LocalContract(Contract, LocalCase):
    confine = None


class E2BContract(Contract, E2BCase):
    def tearDown(self):
        self.assertEqual(self.double.sandboxes, [])
