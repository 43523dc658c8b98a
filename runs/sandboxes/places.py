"""Where one run's processes live: its directory, its confinement, its end."""

import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .base import SandboxError
from .confine import DIRECTORY_MISSING, HOME, Confinement
from .processes import (
    HOME_MARK,
    RUN_MARK,
    TASK_MARK,
    Child,
    children,
    descendants,
    kill_marked,
    send,
    send_group,
    spawn,
)
from .script import Limits, make_script
from .workdirs import WorkDir

logger = logging.getLogger(__name__)

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TERM_SECONDS = 0.5
KILL_SECONDS = 0.4


@dataclass(slots=True)
class Place:
    """One run's work directory and the way into it."""

    workdir: WorkDir
    confinement: Confinement | None
    limits: Limits
    server_mark: str
    run_mark: str
    user_id: int | None = None
    children: list[Child] = field(default_factory=list)
    # What a spare kernel was marked with before a run took it.
    former_mark: str | None = None
    _shown: list[tuple[str, str]] = field(default_factory=list)

    def give_to(self, run_id: str) -> None:
        """A spare becomes this run's."""
        self.former_mark, self.run_mark = self.run_mark, run_id
        self.workdir.belongs_to(run_id)

    def show(self, directory: Path, path: str) -> str:
        """Let the program see a directory of ours; where it sees it."""
        if self.confinement is None:
            return str(directory)
        self._shown.append((str(directory), path))
        return path

    @property
    def home(self) -> str:
        """The work directory as the program sees it."""
        return HOME if self.confinement else str(self.workdir.home)

    def cwd(self, wanted: str | None) -> str:
        if self.confinement:
            return self.confinement.inside_path(wanted)
        path = os.path.normpath(os.path.join(self.home, wanted or ""))
        if not os.path.isdir(path):
            raise SandboxError(DIRECTORY_MISSING.format(path))
        return path

    def put_file(self, name: str, text: str) -> str:
        """Write a new file of the program's own; its path as the program sees it."""
        # Never through a link, and given away by its descriptor: a program that runs
        # here already may have put anything in its place.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(self.workdir.home / name, flags, 0o600), "wb") as file:
            if self.user_id is not None:
                os.fchown(file.fileno(), self.user_id, self.user_id)
            file.write(text.encode(errors="replace"))
        return f"{self.home}/{name}"

    def give(self, path: Path) -> None:
        if self.user_id is not None:
            os.chown(path, self.user_id, self.user_id)

    def environment(self, task: int, env: dict[str, str]) -> dict[str, str]:
        """A clean environment, none of the server's own values, the user's on top."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{SYSTEM_PATH}",
            "HOME": self.home,
            "USER": "sandbox",
            "LOGNAME": "sandbox",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PYTHONUNBUFFERED": "1",
            **env,
            **self.marks(task),
        }

    def marks(self, task: int | None = None) -> dict[str, str]:
        marks = {RUN_MARK: self.run_mark, HOME_MARK: self.server_mark}
        return marks if task is None else {**marks, TASK_MARK: str(task)}

    def spawn(
        self, argv: list[str], task: int, env: dict[str, str], cwd: str, pipes: Iterable[int]
    ) -> Child:
        """Start a program of this run; `pipes` become its standard streams. Raises OSError."""
        script = make_script(argv, self.environment(task, env), cwd, self.limits)
        if self.confinement:
            call = self.confinement.argv(str(self.workdir.home), self.user_id, self._shown)
        else:
            call = dies_with_parent()
        child = Child(spawn([*call, "/bin/sh", "/proc/self/fd/3"], script, *pipes))
        self.children.append(child)
        return child

    def signal(self, child: Child, *numbers: signal.Signals) -> None:
        """Signal everything a child has started, in order."""
        if not child.alive:
            return
        found = descendants(child.pid)
        if self.confinement and found:
            # The first is the sandbox's own process 1; the program comes after it.
            found = found[1:]
        else:
            found.append(child.pid)
        for number in numbers:
            for pid in found:
                send(pid, number)

    def destroy(self, child: Child) -> None:
        """Kill a child and all that is known to belong to it, at once."""
        if self.confinement:
            # The sandbox's process 1 takes everything inside with it.
            for pid in children(child.pid):
                send(pid, signal.SIGKILL)
        elif child.alive:
            for pid in descendants(child.pid):
                send(pid, signal.SIGKILL)
        if child.alive:
            send(child.pid, signal.SIGKILL)

    async def clear(self, task: int | None = None) -> None:
        """Kill what a task, or the run, left behind; its main process has ended."""
        if self.confinement:
            return
        await asyncio.to_thread(kill_marked, self.marks(task))
        if self.former_mark:
            await asyncio.to_thread(kill_marked, {**self.marks(), RUN_MARK: self.former_mark})

    async def kill(self) -> None:
        """Ask everything to end, then make it; within a second."""
        for child in self.children:
            self.signal(child, signal.SIGTERM, signal.SIGCONT)
        if await self.all_ended(TERM_SECONDS):
            return
        self.destroy_all()
        if not await self.all_ended(KILL_SECONDS):
            logger.warning("Processes of run %s do not end.", self.run_mark)

    def destroy_all(self) -> None:
        for child in self.children:
            self.destroy(child)

    async def all_ended(self, seconds: float) -> bool:
        waiting = [child.ended for child in self.children if child.alive]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        return not any(child.alive for child in self.children)

    async def close(self) -> None:
        self.destroy_all()
        await self.all_ended(KILL_SECONDS)
        await self.clear()
        await asyncio.to_thread(self.workdir.remove)


def dies_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def clear_group(child: Child) -> None:
    """Kill what is left of an ended child's process group."""
    send_group(child.pid, signal.SIGKILL)
