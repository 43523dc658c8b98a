"""Spawn processes and end them: a program, its group, and whatever left it."""

import asyncio
import fcntl
import os
import signal
from contextlib import suppress

RUN_MARK = "STREAMSITE_RUN"
TASK_MARK = "STREAMSITE_TASK"
HOME_MARK = "STREAMSITE_HOME"

# Python ignores these; a program must find them as a shell would leave them.
DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)
SCRIPT_FD = 3
# Programs yield to the server that records them: a hundred that print at once are then
# shown sooner, and a quiet one beside a busy one is not.
NICE = 5


def spawn(argv: list[str], script: bytes, stdin: int, stdout: int, stderr: int) -> int:
    """Start argv with `script` readable at /proc/self/fd/3; its pid.

    posix_spawn, because forking a big server is slow. All other descriptors are
    closed by the exec. The environment holds a search path and nothing else.
    Call it from the thread of the event loop: the program gets a signal when the
    thread that spawned it dies.
    """
    source = _above_the_standard_ones(os.memfd_create("script", os.MFD_CLOEXEC))
    try:
        os.write(source, script)
        pid = os.posix_spawn(
            argv[0],
            argv,
            {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin, 0),
                (os.POSIX_SPAWN_DUP2, stdout, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
                (os.POSIX_SPAWN_DUP2, source, SCRIPT_FD),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=DEFAULT_SIGNALS,
        )
    finally:
        os.close(source)
    yield_to_us(pid)
    return pid


def yield_to_us(pid: int) -> None:
    """Give a session that was just started the priority NICE.

    Where the kernel schedules by session (autogroup, the default on desktops and many
    servers), a hundred programs would otherwise get a hundred times our share, and
    their own nice values would count among themselves only.
    """
    with suppress(OSError):  # it may have ended already, or may not be told so often
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
        with open(f"/proc/{pid}/autogroup", "w") as file:
            file.write(str(NICE))


def _above_the_standard_ones(fd: int) -> int:
    """The same file at a number that no redirection overwrites."""
    if fd > SCRIPT_FD:
        return fd
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, SCRIPT_FD + 1)
    os.close(fd)
    return moved


class Child:
    """A spawned process. `ended` becomes its exit code, 128 + n for signal n."""

    def __init__(self, pid: int):
        self._loop = asyncio.get_running_loop()
        self.pid = pid
        self.ended: asyncio.Future[int] = self._loop.create_future()
        # A descriptor per child instead of asyncio's thread per child.
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    async def wait(self) -> int:
        """Its exit code; whoever waits may be cancelled, the child goes on."""
        await asyncio.wait({self.ended})
        return self.ended.result()

    def _reap(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # someone else has waited for it
            pid, status = self.pid, 255 << 8
        if not pid:
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = os.waitstatus_to_exitcode(status)
        self.ended.set_result(code if code >= 0 else 128 - code)


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def send_group(pgid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


def children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as listed:
                found += map(int, listed.read().split())
    return found


def descendants(pid: int) -> list[int]:
    found = children(pid)
    for child in found:  # grows while we go through it
        found += children(child)
    return found


def marked(marks: dict[str, str]) -> list[int]:
    """Processes that were started with all these environment values."""
    wanted = [f"{name}={value}".encode() for name, value in marks.items()]
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and set(wanted) <= set(environment(int(entry))):
            found.append(int(entry))
    return found


def environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return environ.read().split(b"\0")
    except OSError:  # it has ended, or belongs to someone else
        return []


def kill_marked(marks: dict[str, str]) -> int:
    """Kill all processes with these marks, also those forked meanwhile; how many."""
    killed: set[int] = set()
    for _ in range(100):
        # Stopped first, so that none forks while the others are killed.
        found = marked(marks)
        for pid in found:
            send(pid, signal.SIGSTOP)
        for pid in found:
            send(pid, signal.SIGKILL)
        killed.update(found)
        if not found:
            break
    return len(killed)
