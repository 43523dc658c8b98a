"""One task of a run in E2B: started once, then read to its end, whatever breaks."""

import asyncio
import hashlib
import shlex
import time
from functools import cache, partial
from pathlib import Path

from .base import Launch, Offset, OutputQueue, Process, SandboxError
from .e2b_errors import NO_PYTHON, UNREACHABLE, explained, said, will_pass
from .e2b_life import FRESH
from .e2b_text import ReaderText

# As one text, which needs no import of its other part.
RELAY = [Path(__file__).with_name(name) for name in ("e2b_streams.py", "e2b_relay.py")]
# The kernel takes no argument or environment entry longer than 128 KiB.
TEXT_BYTES = 100 * 1024
START_SECONDS = 60.0
RETRY_FIRST = 0.1
RETRY_CAP = 5.0
STREAMS = ("stdout", "stderr")
# Nothing heard for so many beats of a relay: the connection is lost, though nothing says so.
SILENT_BEATS = 3
# Before its mark a relay does not beat: a login shell takes its time.
LOGIN_SECONDS = 60.0
# What of a login shell no other inherits.
NOTE_LOGIN = "compgen -A function >/dev/null 2>&1 && export STREAMSITE_LOGIN=1"


class Broken(Exception):
    """The reader in the sandbox ended before the program's output did."""


class Silent(Exception):
    """The reader in the sandbox was not heard any more."""


class TaskReader:
    """Starts a process in the sandbox and reads it; after a break reads on from there.

    `pid` is done when the program runs: with the process id that takes its stdin.
    """

    def __init__(
        self, sandbox, launch: Launch, process: Process, offsets, output: OutputQueue,
        patience: float, beat: float,
    ):  # fmt: skip
        self.sandbox = sandbox
        self._launch = launch
        self._process = process
        self._output = output
        self._patience = patience
        self._beat = beat
        self._mark = hashlib.sha256(launch.run_id.encode()).hexdigest()[:16]
        self._offsets = {name: offsets.get((process.task, name), Offset()) for name in STREAMS}
        # Whoever has read something need not start anything.
        self._started = any(self._offsets[name] != Offset() for name in STREAMS)
        self._texts: dict[str, ReaderText] = {}
        self._well = time.monotonic()
        self._lost_at: float | None = None
        self._silent_for = 0.0
        self._is_stale = False
        self._heard = False
        self._waits = False
        self.pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def read(self) -> int:
        """To the end of the output; the exit code. Raises SandboxError."""
        delay = RETRY_FIRST
        while True:
            try:
                return await self._read_once()
            except Exception as error:
                self._is_stale = isinstance(error, Silent)
                if self._lost_at is None:
                    self._lost_at = time.monotonic()
                    self._silent_for = SILENT_BEATS * self._beat if self._is_stale else 0.0
                    if self._lost_at - self._well > RETRY_CAP:
                        delay = RETRY_FIRST
                self._check(error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_CAP)

    def _check(self, error: Exception) -> None:
        """Raises what ends the run; returns if it is worth another try."""
        in_time = time.monotonic() - self._lost_at < self._patience
        if in_time and (isinstance(error, Broken | Silent) or will_pass(error)):
            return
        if isinstance(error, Silent):
            raise SandboxError(UNREACHABLE) from error
        if isinstance(error, Broken):
            raise said("lost") from error
        sentence = explained(error)
        raise sentence or error from error

    async def _read_once(self) -> int:
        self._texts = {name: ReaderText(self._mark, self._offsets[name]) for name in STREAMS}
        if self._is_stale:
            # Its calls go by the silent connection. This does not shorten its life.
            self.sandbox = await type(self.sandbox).connect(self.sandbox.sandbox_id, **FRESH)
        handle = await self._start()
        try:
            code = await self._ended(handle)
        finally:
            await handle.disconnect()
        out = self._texts["stdout"]
        if out.word is None and code >= 0:
            raise SandboxError(NO_PYTHON)
        if code < 0:
            raise Broken
        for name, text in self._texts.items():
            self._put(name, text.end())
        if not out.word.isdigit():
            raise said(out.word)
        return code

    async def _ended(self, handle) -> int:
        """The exit code, or Silent, counted in beats: one long stop of ours is none of them."""
        ended, beats = asyncio.ensure_future(exit_code(handle)), 0
        try:
            while not self._is_silent(beats):
                self._heard = False
                done, _ = await asyncio.wait({ended}, timeout=self._beat)
                if done:
                    return ended.result()
                beats = 0 if self._heard or self._waits else beats + 1
            raise Silent
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    def _is_silent(self, beats: int) -> bool:
        marked = self._texts["stdout"].word is not None
        return beats >= SILENT_BEATS and (marked or beats * self._beat >= LOGIN_SECONDS)

    async def _start(self):
        on_text = {f"on_{name}": partial(self._hear, name) for name in STREAMS}
        lines = [offset.lines for offset in self._offsets.values()]
        arguments = [self._mark, self._beat, self._process.task, *lines]
        how = {}
        if not self._started:
            envs = {f"STREAMSITE_ENV_{name}": v for name, v in self._launch.env.items()}
            file = file_of(self._launch, self._process)
            if is_small(self._process.program):
                envs["STREAMSITE_TEXT"] = self._process.program
            else:
                await self.sandbox.files.write(f"~/{file}", self._process.program)
            language = "bash" if self._process.language == "bash" else "python"
            arguments += [language, file]
            how = {"envs": envs, "cwd": self._launch.cwd, "stdin": self._launch.stdin}
        relay = shlex.join(["python3", "-I", "-S", "-c", relay_text(), *map(str, arguments)])
        return await self.sandbox.commands.run(
            f"{NOTE_LOGIN}; exec {relay}", background=True, timeout=0,
            request_timeout=START_SECONDS, retain_output=False, **on_text, **how,
        )  # fmt: skip

    async def _hear(self, name: str, text: str) -> None:
        """Waits while our queue is full: that is what slows the reader down."""
        self._heard = True
        reader = self._texts[name]
        marked = reader.word is not None
        new = reader.feed(text)
        if not marked and reader.word is not None and name == "stdout":
            self._marked(reader.word)
        if new:
            self._put(name, new)
            if self._output.full:
                self._waits = True
                await room(self._output)
                self._waits, self._heard = False, True

    def _marked(self, word: str) -> None:
        if not word.isdigit():
            return
        self._started = True
        self._well = time.monotonic()
        if not self.pid.done():
            self.pid.set_result(int(word))
        elif self._lost_at is not None:
            seconds = self._well - self._lost_at + self._silent_for
            remark = f"The connection to the sandbox was lost for {seconds:.1f} s."
            self._output.put(self._process.task, "system", f"{remark} Nothing was missed.\n")
        self._lost_at = None

    def _put(self, name: str, text: str) -> None:
        self._offsets[name] = self._texts[name].offset
        if text:
            self._output.put(self._process.task, name, text.replace("\0", "\u2400"))


@cache
def relay_text() -> str:
    lines = [line for path in RELAY for line in path.read_text().splitlines()]
    return "\n".join(line for line in lines if not line.startswith("from ."))


async def exit_code(handle) -> int:
    """Wait for a command; -1 if a signal ended it."""
    import e2b

    try:
        return (await handle.wait()).exit_code
    except e2b.CommandExitException as error:
        return error.exit_code


async def room(output: OutputQueue) -> None:
    emptied = asyncio.get_running_loop().create_future()
    output.when_room(lambda: emptied.done() or emptied.set_result(None))
    await emptied


def is_small(program: str) -> bool:
    return len(program.encode(errors="replace")) < TEXT_BYTES


def file_of(launch: Launch, process: Process) -> str:
    """Where the program's text goes in the home directory; "" if it needs no file."""
    number = f"_{process.task}" if len(launch.processes) > 1 else ""
    if process.language != "bash":
        return f"main{number}.py"
    return "" if is_small(process.program) else f"command{number}.sh"
