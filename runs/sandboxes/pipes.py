"""A program's pipes, read and written by the event loop without ever blocking it."""

import asyncio
import codecs
import os
import time
from collections import deque

from .base import OutputQueue, SandboxError

READ_BYTES = 64 * 1024
# After so many small reads in a row the rest of the flood is left to gather for a
# moment: waking up for each write costs the program and us more than the output.
FLOOD_READS = 8
FLOOD_BYTES = 4096
GATHER_SECONDS = 0.001
# What a program may leave unread in its stdin before a sender is refused.
STDIN_BYTES = 1024 * 1024
# The most a pipe can still hold when its writers are dead (a program may enlarge it).
REST_BYTES = 4 * 1024 * 1024


class Plumbing:
    """A program's three standard streams, both ends of each.

    `theirs` are for the program and closed on the way out of the context; `ours`
    are (stdin or None, stdout, stderr) and closed only if that was an error.
    `owner` is the user id that may open them again as /dev/stderr and the like.
    """

    def __init__(self, owner: int | None, stdin: bool):
        self.theirs: list[int] = []
        self.ours: list[int | None] = []
        self._owner = owner
        self._stdin = stdin

    def __enter__(self) -> "Plumbing":
        try:
            if self._stdin:
                self._add(*self._pipe())
            else:
                self._add(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), None)
            for _ in ("stdout", "stderr"):
                read, write = self._pipe()
                self._add(write, read)
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe2(os.O_CLOEXEC)
        if self._owner is not None:
            os.fchown(ends[0], self._owner, self._owner)
        return ends

    def _add(self, theirs: int, ours: int | None) -> None:
        self.theirs.append(theirs)
        self.ours.append(ours)

    def __exit__(self, error, *_) -> None:
        for fd in (*self.theirs, *(self.ours if error else ())):
            if fd is not None:
                os.close(fd)


class PipeReader:
    """Read one pipe into the run's queue; stop while the queue is full.

    One read per wake-up, then the loop's other work: a flood shares the loop.
    `ended` is done when the pipe is at its end or was closed.
    """

    def __init__(self, fd: int, output: OutputQueue, task: int, stream: str):
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._output = output
        self._task = task
        self._stream = stream
        # Decodes what is cut anywhere exactly as the whole would be.
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest: int | None = None
        self._read_at = 0.0
        self._small_reads = 0
        self.ended: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        at = time.monotonic()
        try:
            read = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            read = b""
        if not read:
            self.close()
            return
        self._put(self._decode(read), at)
        if self._rest is not None:
            self._rest -= len(read)
            if self._rest <= 0:
                self.close()
        elif self._output.full:
            self._loop.remove_reader(self._fd)
            self._output.when_room(self._resume)
        elif self._floods(len(read), at):
            self._loop.remove_reader(self._fd)
            self._loop.call_later(GATHER_SECONDS, self._resume)

    def _floods(self, size: int, at: float) -> bool:
        quick = size < FLOOD_BYTES and at - self._read_at < 2 * GATHER_SECONDS
        self._small_reads = self._small_reads + 1 if quick else 0
        self._read_at = at
        return self._small_reads > FLOOD_READS

    def _put(self, text: str, at: float) -> None:
        if "\0" in text:
            text = text.replace("\0", "\u2400")
        if text:
            self._output.put(self._task, self._stream, text, None, at)

    def _resume(self) -> None:
        if not self.ended.done():
            self._loop.add_reader(self._fd, self._read)

    def read_rest(self) -> None:
        """The writers are dead: take what they left, however full the queue is."""
        if not self.ended.done():
            self._rest = REST_BYTES
            self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        if self.ended.done():
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._put(self._decode(b"", True), time.monotonic())
        self.ended.set_result(None)


async def finish_reading(readers: list[PipeReader], seconds: float) -> None:
    """Read to the end of every pipe, but only so long: someone may have kept one open."""
    for reader in readers:
        reader.read_rest()
    waiting = [reader.ended for reader in readers if not reader.ended.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=seconds)
    for reader in readers:
        reader.close()


class StdinWriter:
    """Write to a program's stdin as fast as it reads; what comes before its start waits."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._fd: int | None = None
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._closing = False

    def connect(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._write()

    def send(self, text: str) -> None:
        """Raises SandboxError if the program has ended its input or does not read."""
        if self._closing:
            raise SandboxError("The program's input is closed already.")
        sent = text.encode(errors="replace")
        if self._bytes and self._bytes + len(sent) > STDIN_BYTES:
            raise SandboxError("The program does not read its input; try again later.")
        self._waiting.append(sent)
        self._bytes += len(sent)
        self._write()

    def close_when_sent(self) -> None:
        self._closing = True
        self._write()

    def _write(self) -> None:
        if self._fd is None:
            return
        try:
            while self._waiting:
                self._write_first()
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._write)
        except OSError:  # the reading end is gone: nobody will ever read the rest
            self.close()
        else:
            self._loop.remove_writer(self._fd)
            if self._closing:
                self.close()

    def _write_first(self) -> None:
        written = os.write(self._fd, self._waiting[0])
        self._bytes -= written
        rest = self._waiting.popleft()[written:]
        if rest:
            self._waiting.appendleft(rest)

    def close(self) -> None:
        self._closing = True
        self._waiting.clear()
        self._bytes = 0
        if self._fd is not None:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = None
