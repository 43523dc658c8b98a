"""The double behaves as E2B was seen to, asked by the real SDK."""

import asyncio
import os
import time
from unittest import mock

from django.test import SimpleTestCase
from e2b import (
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    SandboxException,
    SandboxNotRunningException,
    TimeoutException,
)
from e2b_code_interpreter import AsyncSandbox

from . import e2b


class DoubleTests(SimpleTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.double = e2b.E2BDouble()
        cls.addClassCleanup(cls.double.close)

    def setUp(self):
        self.double.reset()
        patched = mock.patch.dict(os.environ, self.double.environment)
        patched.start()
        self.addCleanup(patched.stop)

    async def test_exit_codes_and_errors(self):
        sandbox = await AsyncSandbox.create()
        for program, code, error in (
            ("echo out; exit 3", 3, "exit status 3"),
            ("kill -9 $$", -1, "signal: killed"),
        ):
            with self.assertRaises(CommandExitException) as raised:
                await sandbox.commands.run(program)
            self.assertEqual((raised.exception.exit_code, raised.exception.error), (code, error))
        with self.assertRaisesMessage(InvalidArgumentException, "cwd '/x' does not exist"):
            await sandbox.commands.run("true", cwd="/x")
        with self.assertRaisesMessage(SandboxException, "stdin not enabled"):
            handle = await sandbox.commands.run("sleep 9", background=True)
            await sandbox.commands.send_stdin(handle.pid, "x")
        await handle.disconnect()

    async def test_output_is_for_those_who_listen_now(self):
        sandbox = await AsyncSandbox.create()
        program = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done"
        first = await sandbox.commands.run(program, background=True)
        await asyncio.to_thread(self.until_line, first, "2")
        second = await sandbox.commands.connect(first.pid)
        result = await second.wait()
        self.assertNotIn("1", result.stdout)
        self.assertEqual((await first.wait()).stdout.split(), list("123456"))
        late = await (await sandbox.commands.connect(first.pid)).wait()
        self.assertEqual((late.stdout, late.exit_code), ("", 0))
        with self.assertRaisesMessage(NotFoundException, "process with pid 1 not found"):
            await sandbox.commands.connect(1)

    @staticmethod
    def until_line(handle, line):
        deadline = time.monotonic() + 5
        while line not in handle.stdout and time.monotonic() < deadline:
            time.sleep(0.01)

    async def test_a_command_is_killed_at_its_timeout(self):
        sandbox = await AsyncSandbox.create()
        with self.assertRaisesMessage(TimeoutException, "context deadline exceeded"):
            await sandbox.commands.run("sleep 9", timeout=0.3)
        deadline = time.monotonic() + 5
        while await sandbox.commands.list():
            self.assertLess(time.monotonic(), deadline)

    async def test_keepalives_are_no_output(self):
        self.double.settings(keepalive_seconds=0.02)
        sandbox = await AsyncSandbox.create()
        self.assertEqual((await sandbox.commands.run("sleep 0.2; echo up")).stdout, "up\n")

    async def test_a_sandbox_that_is_gone(self):
        sandbox = await AsyncSandbox.create()
        handle = await sandbox.commands.run("sleep 9", background=True, timeout=0)
        self.assertTrue(await sandbox.kill())
        with self.assertRaisesMessage(SandboxNotRunningException, "was killed or reached"):
            await handle.wait()
        self.assertFalse(await sandbox.is_running())
        self.assertFalse(await sandbox.kill())
        with self.assertRaises(SandboxNotRunningException):
            await sandbox.commands.run("true")

    async def test_files(self):
        sandbox = await AsyncSandbox.create()
        await sandbox.files.write("~/a/b", "grüße\n")
        self.assertEqual(await sandbox.files.read("a/b"), "grüße\n")
        self.assertEqual((await sandbox.commands.run("cat ~/a/b")).stdout, "grüße\n")
