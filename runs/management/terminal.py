"""What the commands share: a run shown in a terminal, and how it ends there."""

import asyncio
import getpass
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TextIO

import orjson
from django.core.management.base import CommandError
from django.db import connection
from django.template.defaultfilters import filesizeformat

from ..models import Deletion, Run
from ..streaming import database
from ..streaming.follow import Ended, Gone, Output, follow

# As timeout(1), the shell and sysexits.h have them.
EXIT_CODES = {"timed_out": 124, "cancelled": 130, "lost": 70}
INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143


def system_user() -> str:
    """Who runs this command, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def require_database() -> None:
    if Run._meta.db_table not in connection.introspection.table_names():
        raise CommandError(
            "There is no database here yet. Run `manage.py quickstart` or `manage.py migrate`, "
            "or set STREAMSITE_DATA_DIR to the directory that has it."
        )


def stored_run(public_id: str) -> Run:
    require_database()
    run = Run.objects.filter(public_id=public_id).first()
    if deletion := run is None and Deletion.objects.filter(public_id=public_id).last():
        raise CommandError(deletion.sentence, returncode=2)
    if run is None:
        raise CommandError(
            f"There is no run {public_id!r}. Its id is the last part of its page's address.",
            returncode=2,
        )
    return run


def exit_code(run: dict) -> int:
    """What a command that showed this run to its end exits with."""
    if run["status"] == "succeeded":
        return run["exit_code"] or 0
    return EXIT_CODES.get(run["status"]) or run["exit_code"] or 1


class Screen:
    """Shows chunks where a pipe expects them: stdout and results, or stderr and errors.

    Our own remarks go to stderr, each on a line of its own that begins with ──.
    With `lanes`, each line on a terminal says which task wrote it. Writing may
    block for as long as the reader of a pipe likes: call show() in a thread.
    Raises BrokenPipeError when the reader has gone.
    """

    def __init__(self, out: TextIO, err: TextIO, lanes: bool = False):
        self._out, self._err = out, err
        self._one_terminal = out.isatty() and err.isatty()
        self._lanes = lanes and out.isatty()
        self._line_open = {out: False, err: False}
        self._last_lane = None
        self._last_remark = ""

    def show(self, chunks: Iterable[dict]) -> None:
        for chunk in chunks:
            stream, text = chunk["stream"], chunk["text"]
            if stream == "system":
                self._remark(text)
            elif stream == "result":
                self._result(chunk["data"] or {})
            else:
                target = self._err if stream in ("stderr", "error") else self._out
                self._write(target, self._laned(chunk["task"], text) if self._lanes else text)
        self._flush()

    def remark(self, text: str) -> None:
        """Say `text` unless it was the last thing said."""
        if text != self._last_remark:
            self._remark(text)
            self._flush()

    def _flush(self) -> None:
        self._out.flush()
        self._err.flush()

    def _write(self, target: TextIO, text: str) -> None:
        if not text:
            return
        target.write(text)
        open_now = not text.endswith("\n")
        # On one terminal both share a line; apart, each has its own.
        for shown in (self._out, self._err) if self._one_terminal else (target,):
            self._line_open[shown] = open_now

    def _remark(self, text: str) -> None:
        self._last_remark = text.strip()
        lines = "".join(f"── {line}\n" for line in self._last_remark.splitlines())
        self._on_a_new_line(self._err, lines)

    def _result(self, data: dict) -> None:
        text = data.get("text/plain")
        if isinstance(text, str):
            self._on_a_new_line(self._out, f"{text}\n")
        else:
            self._remark(f"A result of type {', '.join(data) or 'unknown'}: see the run's page.")

    def _on_a_new_line(self, target: TextIO, text: str) -> None:
        self._write(target, "\n" + text if self._line_open[target] else text)

    def _laned(self, task: int, text: str) -> str:
        mark, begun = f"{task}│ ", self._line_open[self._out]
        switched = begun and task != self._last_lane
        self._last_lane = task
        lines = text.splitlines(keepends=True)
        marked = "".join(mark + line for line in lines[1 if begun and not switched else 0 :])
        if begun and not switched:
            return lines[0] + marked
        return "\n" + marked if switched else marked


class Pace:
    """Replays at the pace of the recording, `speed` times as fast; 0 for at once."""

    def __init__(self, speed: float):
        self._speed = speed
        self._begun = time.monotonic()

    def wait_seconds(self, t: float) -> float:
        """How long until what was recorded at `t` is due."""
        if not self._speed:
            return 0.0
        return max(0.0, self._begun + t / self._speed - time.monotonic())


async def show_run(run: Run, screen: Screen, after: int = 0, speed: float = 0) -> int:
    """Show a run from seq `after` + 1 to its end; the exit code that fits it."""
    pace = Pace(speed)
    async for item in follow(run.pk, after):
        if isinstance(item, Output):
            for batch in item.batches:
                chunks = [orjson.loads(line) for line in batch.lines.split(b"\n")]
                await _show_paced(screen, chunks, pace)
        elif isinstance(item, Ended):
            ended = orjson.loads(item.run)
            if ended["output_deleted"]:
                await asyncio.to_thread(screen.remark, await database.read(_output_deletion, run))
            if ended["error"]:
                await asyncio.to_thread(screen.remark, ended["error"])
            return exit_code(ended)
        elif isinstance(item, Gone):
            break
    raise CommandError("The run was deleted; nothing of it is left to show.")


def _output_deletion(run: Run) -> str:
    return Run.objects.get(pk=run.pk).output_deletion


async def _show_paced(screen: Screen, chunks: list[dict], pace: Pace) -> None:
    due: list[dict] = []
    for chunk in chunks:
        if wait := pace.wait_seconds(chunk["t"]):
            await asyncio.to_thread(screen.show, due)
            due = []
            await asyncio.sleep(wait)
        due.append(chunk)
    await asyncio.to_thread(screen.show, due)


def on_interrupt(first: Callable[[], None]) -> None:
    """Let Ctrl-C do `first`; the next one leaves at once, whatever is blocked."""
    loop = asyncio.get_running_loop()

    def interrupted():
        loop.add_signal_handler(signal.SIGINT, os._exit, INTERRUPTED)
        first()

    loop.add_signal_handler(signal.SIGINT, interrupted)


def on_terminate(do: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, do)


def run_to_exit_code(main: Coroutine[None, None, int]) -> int:
    """Run a command's main coroutine; leaving early is quiet and has its usual code."""
    try:
        return asyncio.run(main)
    except BrokenPipeError:
        leave_pipe()
        return BROKEN_PIPE
    except asyncio.CancelledError:
        return TERMINATED
    finally:
        database.close_connections()


def leave_pipe() -> None:
    """After BrokenPipeError, so that nothing is complained of at the exit either."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())


class Progress:
    """Tells how far something long is, each second after the first.

    On a terminal it rewrites one line. `expected` is about how many bytes it will be.
    """

    def __init__(self, err: TextIO, expected: int):
        self._err, self._expected = err, expected
        self._in_place = err.isatty()
        self._bytes = 0
        self._begun = self._told = time.monotonic()

    def add(self, size: int) -> None:
        self._bytes += size
        if time.monotonic() - self._told >= 1:
            self._told = time.monotonic()
            share = min(99, 100 * self._bytes // max(1, self._expected))
            self._tell(f"about {share} %")

    def end(self) -> None:
        if self._told != self._begun:
            self._tell("done")
            self._err.write("\n" if self._in_place else "")

    def _tell(self, state: str) -> None:
        seconds = time.monotonic() - self._begun
        rate = filesizeformat(self._bytes / seconds)
        line = f"{filesizeformat(self._bytes)} in {seconds:.0f} s ({rate}/s), {state}"
        self._err.write(f"\r{line:<60}" if self._in_place else f"{line}\n")
        self._err.flush()
