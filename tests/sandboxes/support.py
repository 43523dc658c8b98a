"""Running real programs in the local sandbox and looking at what is left of them."""

import asyncio
import os
import tempfile
import time
import uuid
from contextlib import asynccontextmanager
from pathlib import Path

from django.test import SimpleTestCase

from runs.sandboxes.base import Cell, Launch, OutputQueue, Process
from runs.sandboxes.local import LocalBackend


class Running:
    """One run: start it, wait for what it prints, end it."""

    def __init__(self, backend, launch, limit=None):
        self._backend = backend
        self._launch = launch
        self.output = OutputQueue(limit) if limit else OutputQueue()
        self.pieces = []
        self.exits = []
        self.taking = asyncio.Event()
        self.taking.set()

    async def __aenter__(self):
        self.sandbox = await self._backend.create(self._launch)
        self._taker = asyncio.ensure_future(self._take())
        self.run = asyncio.ensure_future(
            self.sandbox.run(self.output, lambda *ended: self.exits.append(ended))
        )
        return self

    async def _take(self):
        await self.taking.wait()
        while (pieces := await self.output.take()) is not None:
            self.pieces += pieces
            await self.taking.wait()

    async def codes(self, seconds=10):
        """The exit codes, once all output has been taken."""
        async with asyncio.timeout(seconds):
            try:
                return await self.run
            finally:
                self.output.close()
                await self._taker

    def text(self, stream="stdout", task=None):
        return "".join(
            piece.text
            for piece in self.pieces
            if piece.stream == stream and task in (None, piece.task)
        )

    async def printed(self, text):
        await until(lambda: text in self.text())

    async def __aexit__(self, *error):
        await self.sandbox.close()
        self.taking.set()
        self.output.close()
        await asyncio.wait({self._taker, self.run})


async def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        await asyncio.sleep(0.01)


def processes_with(text):
    """Living processes of the whole machine with this text in their command line."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and text.encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                found.append(int(entry))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def state_of(pid):
    """The letter that /proc has for it: "T" is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class SandboxCase(SimpleTestCase):
    """Programs through a backend, whichever it is."""

    def command(self, backend, program, language="bash", limit=None, **fields):
        return self.launch(backend, [(language, program)], limit, **fields)

    def launch(self, backend, programs, limit=None, **fields):
        processes = tuple(Process(task, *program) for task, program in enumerate(programs))
        fields = {"run_id": uuid.uuid4().hex, "owner": "alice", **fields}
        return Running(backend, Launch(processes=processes, **fields), limit)

    def cell(self, backend, program, limit=None, **fields):
        fields = {"run_id": uuid.uuid4().hex, "owner": "alice", **fields}
        return Running(backend, Launch(cell=Cell("python", program), **fields), limit)

    async def cell_outcome(self, backend, code, **fields):
        """Run a cell to its end: (exit codes, pieces)."""
        async with self.cell(backend, code, **fields) as run:
            return await run.codes(30), run.pieces

    async def outcome(self, backend, program, language="bash", **fields):
        """Run a program to its end: (exit code, stdout, stderr)."""
        async with self.command(backend, program, language, **fields) as run:
            [code] = await run.codes()
            return code, run.text(), run.text("stderr")


class LocalCase(SandboxCase):
    """`confine`: True is skipped where confinement does not work, None takes what there is."""

    confine = None

    confine = True

    def setUp(self):
        self.top = Path(tempfile.mkdtemp(prefix="ss-"))
        self.addCleanup(lambda: os.system(f"rm -rf {self.top}"))
        self.data_dir = self.top / "data"
        self.data_dir.mkdir()
        self.scratch = self.top / "scratch"

    @asynccontextmanager
    async def backend(self, **options):
        options = {
            "data_dir": self.data_dir,
            "scratch_dir": self.scratch,
            "allow_unconfined": True,
            "confine": self.confine is not False,
            "notebook_spare": False,
            **options,
        }
        backend = LocalBackend(**options)
        await backend.start()
        try:
            if self.confine and not backend.confined:
                self.skipTest(f"programs cannot be confined here: {backend.why}")
            yield backend
        finally:
            await backend.close()
