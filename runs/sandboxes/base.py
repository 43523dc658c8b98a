"""What a sandbox backend promises. A new backend is a module beside this one."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

# A run with this much waiting has its pipes paused: measured, it halves the
# latency of the runs beside a flood.
QUEUE_BYTES = 256 * 1024
# What a piece costs besides its text; a program may print single bytes.
PIECE_BYTES = 128


class SandboxError(Exception):
    """The sandbox failed, not the program. The message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a run: `program` is text in `language`.

    That is "bash", "python", or "agent": Python that needs the Claude Agent SDK.
    """

    task: int
    language: str
    program: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Code for a notebook kernel; `language` is a language name such as "python"."""

    language: str
    program: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything a backend needs to run one run.

    Either `cell` is set (notebook mode) or `processes` is not empty. `env` holds
    the user's values in clear; it must reach the program's environment and
    nothing else. `secrets` are values that must not be recorded. `cwd` is None for
    the sandbox's own working directory.
    """

    run_id: str
    owner: str
    processes: tuple[Process, ...] = ()
    cell: Cell | None = None
    env: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    cwd: str | None = None
    stdin: bool = False


class Piece(NamedTuple):
    """Output as it was read: `at` is time.monotonic() of its first byte."""

    task: int
    stream: str  # "stdout", "stderr", "result", "error" or "system"
    text: str
    data: bytes | None = None  # JSON, for "result" and "error"
    at: float = 0.0


class Offset(NamedTuple):
    """How far one task's stdout or stderr was consumed, in what can be counted again.

    A reader that starts at line `lines` and leaves out `chars` characters goes on
    exactly there, whatever the bytes were and wherever they had been cut: no
    character and no replacement of a broken one reaches across a newline.
    """

    lines: int = 0
    chars: int = 0

    def after(self, text: str) -> "Offset":
        """The offset behind `text`, as it was put into the queue."""
        newlines = text.count("\n")
        if not newlines:
            return Offset(self.lines, self.chars + len(text))
        return Offset(self.lines + newlines, len(text) - text.rfind("\n") - 1)


# By task and stream ("stdout" or "stderr"); what is not in it begins at Offset().
Offsets = Mapping[tuple[int, str], Offset]


class OutputQueue:
    """A run's output between its sandbox and the recorder, bounded in bytes.

    put() never waits and never drops: whoever reads from the program looks at
    `full` after each put(), stops reading when it is true and hands its resume
    function to when_room(). All methods belong to the event loop's thread.
    """

    def __init__(self, limit: int = QUEUE_BYTES):
        self._limit = limit
        self._pieces: deque[Piece] = deque()
        self._bytes = 0
        self._closed = False
        self._arrived = asyncio.Event()
        self._waiting: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        return self._bytes >= self._limit

    def put(
        self, task: int, stream: str, text: str, data: bytes | None = None, at: float = 0.0
    ) -> None:
        self._pieces.append(Piece(task, stream, text, data, at or time.monotonic()))
        self._bytes += PIECE_BYTES + len(text) + (len(data) if data else 0)
        self._arrived.set()

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, as soon as the queue has been emptied."""
        if self.full:
            self._waiting.append(resume)
        else:
            resume()

    def close(self) -> None:
        """No more output will come; take() returns None after the last piece."""
        self._closed = True
        self._arrived.set()

    async def take(self, timeout: float | None = None) -> list[Piece] | None:
        """All that has gathered; [] after `timeout` seconds of silence, None at the end."""
        if not self._pieces and not self._closed:
            self._arrived.clear()
            if not await self._arrives(timeout):
                return []
        if not self._pieces:
            return None
        pieces, self._pieces, self._bytes = list(self._pieces), deque(), 0
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()
        return pieces

    async def _arrives(self, timeout: float | None) -> bool:
        if timeout is None:
            # The usual case, for each line of a quiet program: a timer costs more than the wait.
            return await self._arrived.wait()
        try:
            async with asyncio.timeout(timeout):
                return await self._arrived.wait()
        except TimeoutError:
            return False


class Sandbox(Protocol):
    """The place where one run runs. `id` is known before anything runs in it."""

    id: str

    async def run(
        self, output: OutputQueue, on_exit: Callable[[int, int | None], None]
    ) -> list[int | None]:
        """Run the program to its end; one exit code per process, in task order.

        Output goes to `output`, which the caller closes. `on_exit(task, code)` is
        called as each process ends. A process killed by signal n has 128 + n. A
        notebook cell has 0, or 1 if it raised. Returns when the main process has
        ended (all of them, with several): its process group and whatever it left
        behind are then killed and the pipes read for at most one second more.
        Raises SandboxError when the sandbox itself fails.
        """

    async def send_stdin(self, task: int, text: str | None) -> None:
        """Write to a process's stdin, None to close it. Raises SandboxError if it cannot."""

    async def kill(self) -> None:
        """End every process, whatever it does, within a second; run() then returns."""

    async def leave(self) -> None:
        """Let go of it for another executor, which goes on with it where that is possible."""

    async def close(self) -> None:
        """Kill what still runs and give everything back. May be called twice."""


class Backend(Protocol):
    """One kind of sandbox, as one object per executor process."""

    name: str
    confined: bool  # False: programs run with the server's own rights
    can_attach: bool  # whether programs outlive the executor and attach() finds them
    open_count: int  # sandboxes of this executor that were created and not yet closed

    async def start(self) -> None:
        """Get ready (trial run, warm kernel). Raises SandboxError if it cannot work."""

    def describe(self) -> dict:
        """{"name", "confined", "sentence"} and what else pages, log and health may say."""

    async def create(self, launch: Launch, on_wait: Callable[[str], None] | None = None) -> Sandbox:
        """A sandbox for one run; nothing runs in it yet. Raises SandboxError.

        `on_wait` is called with a sentence whenever it has to wait, for quota or an
        overloaded service. A call that is cancelled leaves no sandbox behind.
        """

    async def attach(self, launch: Launch, sandbox_id: str, offsets: Offsets) -> Sandbox:
        """The sandbox of a run that another executor began, where `can_attach`.

        Its run() goes on with each task's output behind `offsets` and starts what
        had not been started. Raises SandboxError if it cannot be continued.
        """

    async def sweep(self, living: Mapping[str, str]) -> int:
        """Kill sandboxes that outlived their run; how many there were.

        `living` has the sandbox id of each living run by run id, "" where it has none
        yet. A living run's other sandboxes are an earlier executor's, and killed too.
        """

    async def close(self) -> None:
        """Give back what the backend itself holds."""
