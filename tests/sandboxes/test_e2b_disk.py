"""A sandbox in E2B whose disk is full."""

import os
import subprocess
import unittest
from contextlib import asynccontextmanager
from pathlib import Path

from runs.sandboxes.base import SandboxError

from .e2b_case import E2BCase
from .support import until

FULL = "The sandbox's disk is full"
NUMBERS = "".join(f"{n}\n" for n in range(1, 200001))


def may_mount() -> bool:
    if os.geteuid():
        return False
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"])
    return tried.returncode == 0


@unittest.skipUnless(may_mount(), "needs the right to mount a small disk")
class FullDiskTests(E2BCase):
    """Output is kept on a disk of its own; `free` is what it takes, in KiB."""

    @asynccontextmanager
    async def small(self, free, where=".streamsite"):
        async with self.backend(patience_seconds=20) as backend:
            create = backend.create

            async def with_small_disk(launch):
                sandbox = await create(launch)
                self.mount(Path(self.double.sandboxes[0]["home"]) / where, free)
                return sandbox

            backend.create = with_small_disk
            yield backend
            self.assert_no_sandbox_is_left(backend)

    def mount(self, place, free):
        place.mkdir(exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={free + 4}k", "none", place], check=True
        )
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=True)
        (place / "filled").write_bytes(b"x" * 4096)

    async def test_it_is_full_at_the_start(self):
        async with self.small(0) as backend:
            for language in ("bash", "python"):
                with self.assertRaisesMessage(SandboxError, FULL):
                    await self.outcome(backend, "print('up')", language)
                await self.eventually(lambda: not self.double.sandboxes)

    async def test_it_is_full_when_the_program_is_written(self):
        # The first page is for the relay's own file.
        async with self.small(4, where="") as backend:
            with self.assertRaisesMessage(SandboxError, FULL):
                await self.outcome(backend, f"print('up')\n#{'x' * 8000}", "python")

    async def test_it_fills_while_the_program_runs(self):
        async with self.small(256) as backend, self.command(backend, "seq 1 200000") as run:
            with self.assertRaisesMessage(SandboxError, FULL):
                await run.codes()
        self.assertTrue(NUMBERS.startswith(run.text()))
        # All that was kept; the process id has a page.
        self.assertEqual(len(run.text()), 252 * 1024)

    async def test_it_fills_while_nobody_listens(self):
        async with (
            self.small(256) as backend,
            self.command(backend, "echo up; read x; seq 1 200000", stdin=True) as run,
        ):
            await run.printed("up")
            kept = Path(self.double.sandboxes[0]["home"]) / ".streamsite/0"
            self.double.fault("Start", delay=1.5)
            self.double.drop(run.sandbox.id)
            await run.sandbox.send_stdin(0, "go\n")
            await until((kept / "exit").exists)
            with self.assertRaisesMessage(SandboxError, FULL):
                await run.codes()
        self.assertTrue(("up\n" + NUMBERS).startswith(run.text()))
        self.assertEqual(len(run.text()), 252 * 1024)

    async def test_a_program_that_prints_nothing_more_ends_as_it_does(self):
        program = "dd if=/dev/zero of=~/.streamsite/f 2>/dev/null; exit 3"
        async with self.small(64) as backend, self.command(backend, program) as run:
            self.assertEqual(await run.codes(), [3])


class FileLimitTests(E2BCase):
    async def test_files_that_may_not_grow(self):
        self.double.settings(profile="ulimit -f 64\n")
        async with self.backend() as backend, self.command(backend, "seq 1 200000") as run:
            with self.assertRaisesMessage(SandboxError, FULL):
                await run.codes()
        self.assertEqual(run.text(), NUMBERS[: 64 * 1024])

    async def test_a_long_program_that_the_disk_does_not_take(self):
        self.double.fault("files", status=507, body={"code": 507, "message": "not enough space"})
        async with self.backend() as backend:
            with self.assertRaisesMessage(SandboxError, FULL):
                await self.outcome(backend, f"true\n#{'x' * 200_000}")
            self.assert_no_sandbox_is_left(backend)
