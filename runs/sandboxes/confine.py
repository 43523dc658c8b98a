"""Confinement by bubblewrap: a program sees a file system, processes and a network of its own."""

import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .base import SandboxError
from .etc import HOME, USER_IDS, etc_of_this_server, make_etc, shown_of_etc

TMPFS_BYTES = 512 * 1024**2

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

DIRECTORY_MISSING = (
    "The directory {} does not exist in the sandbox. Leave the working directory empty "
    "or create it in the program."
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of calling bubblewrap; `drops_root` runs programs under a user id of their own."""

    flags: tuple[str, ...]
    drops_root: bool = False


# As root: real user ids, so that limits on processes hold and root's files stay closed.
AS_ROOT = Way(
    (
        *("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"),
        *("--cap-add", "CAP_SETPCAP"),
    ),
    drops_root=True,
)
AS_USER = Way(("--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"))


class Confinement:
    """Builds bubblewrap command lines that were seen working on this machine.

    `hidden` are directories that must never appear, even below one that does.
    """

    def __init__(self, hidden: list[str], scratch: Path, network: bool):
        self._hidden = [os.path.realpath(path) for path in hidden]
        self._etc = etc_of_this_server(scratch)
        self._network = network
        self._bwrap = shutil.which("bwrap")
        self._setpriv = shutil.which("setpriv")
        self._way = AS_USER
        ids = list(USER_IDS)
        start = random.randrange(len(ids))
        self._user_ids = itertools.cycle(ids[start:] + ids[:start])

    def try_out(self, home: Path) -> str | None:
        """Find a way that works; else the reason why none does, as a sentence."""
        if not self._bwrap:
            return "bubblewrap (bwrap) is not installed."
        make_etc(self._etc, self._network)
        reason = ""
        for way in self._ways():
            self._way = way
            reason = self._trial(home)
            if not reason:
                return None
        return f"a trial run of bubblewrap failed: {reason.rstrip('.')}."

    def _ways(self) -> list[Way]:
        return [AS_ROOT, AS_USER] if os.getuid() == 0 and self._setpriv else [AS_USER]

    def _trial(self, home: Path) -> str:
        user_id = self.user_id()
        self.give(home, user_id)
        # Python too: its files must be readable for the user it will run as.
        check = [*self.argv(str(home), user_id), "/bin/bash", "-c", 'touch ~/t && "$0" -c ""']
        environment = {"PATH": "/usr/bin:/bin", "HOME": HOME}
        try:
            done = subprocess.run(
                [*check, sys.executable],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=20,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        said = done.stderr.decode(errors="replace").strip()
        return "" if done.returncode == 0 else said[-300:] or f"exit code {done.returncode}"

    def close(self) -> None:
        shutil.rmtree(self._etc, ignore_errors=True)

    def user_id(self) -> int | None:
        """The user id for a new run, None to keep the server's."""
        return next(self._user_ids) if self._way.drops_root else None

    @staticmethod
    def give(path: Path, user_id: int | None) -> None:
        if user_id is not None:
            os.chown(path, user_id, user_id)

    def argv(
        self, home: str, user_id: int | None, shown: Iterable[tuple[str, str]] = ()
    ) -> list[str]:
        """The command line up to the program's own; `shown`: (our directory, where it appears)."""
        call = [self._bwrap, *self._way.flags, *self._view(), "--bind", home, HOME]
        for directory, path in shown:
            call += [*parents(path), "--bind", directory, path]
        call.append("--")
        if user_id is not None:
            call += [
                *(self._setpriv, "--reuid", str(user_id), "--regid", str(user_id)),
                *("--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"),
            ]
        return call

    def _view(self) -> list[str]:
        call = [
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
            # No --new-session: spawn() began one, and of that one the priority is known.
            *("--hostname", "sandbox", "--die-with-parent"),
        ]
        if not self._network:
            call.append("--unshare-net")
        shown = []
        for path in SYSTEM:
            if os.path.islink(path):
                call += ["--symlink", os.readlink(path), path]
            elif os.path.isdir(path):
                call += ["--ro-bind", path, path]
                shown.append(path)
        call += ["--proc", "/proc", "--dev", "/dev", *private("/dev/shm"), *private("/tmp")]
        call += ["--ro-bind", str(self._etc), "/etc"]
        for path in shown_of_etc(self._network):
            call += ["--ro-bind", path, path]
        call += [*parents("/var/tmp")]
        call += ["--symlink", "../tmp", "/var/tmp"]
        call += [*self._masks(shown), *parents(HOME)]
        for path in python_directories():
            if self._visible(path, shown):
                continue
            call += [*parents(path), "--ro-bind", path, path, *self._masks([path])]
        return call

    def _masks(self, shown: list[str]) -> list[str]:
        """An empty directory over whatever is hidden and lies in what is shown."""
        call: list[str] = []
        for path in self._hidden:
            if os.path.isdir(path) and any(inside(path, top) for top in shown):
                call += ["--perms", "0755", "--size", "4096", "--tmpfs", path]
        return call

    def _visible(self, path: str, shown: list[str]) -> bool:
        return any(inside(path, top) for top in shown) and not any(
            inside(path, hidden) for hidden in self._hidden
        )

    def inside_path(self, cwd: str | None) -> str:
        """The working directory as the program sees it. Raises SandboxError."""
        path = os.path.normpath(os.path.join(HOME, cwd or ""))
        if path in ("/", "/home", HOME, "/tmp", "/var/tmp", "/dev", "/dev/shm", "/proc"):
            return path
        if path == "/etc" or path.startswith("/etc/"):
            seen = os.path.isdir(f"{self._etc}{path[4:]}")
        else:
            shown = [*SYSTEM, *python_directories()]
            seen = os.path.isdir(path) and self._visible(os.path.realpath(path), shown)
        if not seen:
            raise SandboxError(DIRECTORY_MISSING.format(path))
        return path


def private(path: str) -> list[str]:
    return ["--perms", "1777", "--size", str(TMPFS_BYTES), "--tmpfs", path]


def parents(path: str) -> list[str]:
    """Directories above a mount point, passable for everyone."""
    call = []
    for parent in reversed(Path(path).parents[:-1]):
        if str(parent) != "/tmp":
            call += ["--perms", "0755", "--dir", str(parent)]
    return call


def inside(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def python_directories() -> list[str]:
    """Where this Python and its packages lie: the virtual environment and what it rests on."""
    found = [sys.base_prefix, os.path.realpath(sys.base_prefix)]
    # Links lead from one installation to another, each step must be visible.
    step = sys.executable
    for _ in range(8):
        found.append(str(Path(step).parent.parent))
        if not os.path.islink(step):
            break
        step = os.path.join(os.path.dirname(step), os.readlink(step))
    found += [str(Path(os.path.realpath(sys.executable)).parent.parent), sys.prefix]
    unique = dict.fromkeys(os.path.normpath(path) for path in found)
    return [path for path in unique if path != "/"]
