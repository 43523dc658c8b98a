"""The shell script that turns a bare process into a run's program.

It is handed over on a descriptor, so that neither the values of the environment
nor the program stand on a command line, and it runs inside the sandbox, so that
a user's LD_PRELOAD or PATH never reaches the tools that set the sandbox up.
"""

import re
import shlex
from dataclasses import dataclass

from .base import SandboxError
from .processes import SCRIPT_FD

# The kernel takes no argument or environment entry longer than this.
ARGUMENT_BYTES = 128 * 1024
ENVIRONMENT_BYTES = 1024 * 1024
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may take; `processes` counts per run where the kernel can."""

    memory_bytes: int = 2 * 1024**3
    file_bytes: int = 1024**3
    processes: int = 256
    files: int = 1024

    def script(self) -> list[str]:
        # -d, not -v: node and others reserve far more address space than they use.
        # Data and stack are counted by it all the same. Blocks have 512 bytes; dash
        # calls the limit on processes -p, bash -u.
        return [
            "ulimit -c 0",
            f"ulimit -d {self.memory_bytes // 1024} 2>/dev/null",
            f"ulimit -f {self.file_bytes // 512} 2>/dev/null",
            f"ulimit -n {self.files} 2>/dev/null",
            f"ulimit -u {self.processes} 2>/dev/null || ulimit -p {self.processes} 2>/dev/null",
        ]


def check_environment(env: dict[str, str]) -> None:
    """Raises SandboxError for what no process can be given."""
    total = 0
    for name, value in env.items():
        if not NAME.match(name):
            raise SandboxError(
                f"The environment name {name[:80]!r} cannot be used: take letters, digits and "
                "underscores, not beginning with a digit."
            )
        size = len(name) + len(value.encode(errors="replace")) + 2
        if "\0" in value or size > ARGUMENT_BYTES:
            raise SandboxError(
                f"The environment value {name} cannot be used: it must be shorter than 128 KiB "
                "and hold no NUL character."
            )
        total += size
    if total > ENVIRONMENT_BYTES:
        raise SandboxError("The environment is larger than 1 MiB; give large values as files.")


def make_script(argv: list[str], env: dict[str, str], cwd: str, limits: Limits) -> bytes:
    lines = [
        f"exec {SCRIPT_FD}<&-",
        f"cd -- {shlex.quote(cwd)} || exit 126",
        *limits.script(),
        *(f"export {name}={shlex.quote(value)}" for name, value in env.items()),
        f"exec {shlex.join(argv)}",
    ]
    return "\n".join(lines).encode(errors="replace")
