"""Which process carries a run. The edge knows of execution only what is here."""

from ..kinds import Spec
from ..models import Run


class NotAccepted(Exception):
    """A running program could not be given what was sent; a sentence for people."""


def submit(owner, spec: Spec, rerun_of: Run | None = None) -> Run:
    """Insert a run and see that it is carried. Called in a thread (ORM)."""
    raise NotImplementedError


def cancel(run: Run) -> bool:
    """Ask for a run's end; False if it is final already. Called in a thread (ORM)."""
    raise NotImplementedError


async def send_stdin(run: Run, task: int, text: str | None) -> None:
    """Write to a process's stdin, None to close it. Raises NotAccepted."""
    raise NotImplementedError


async def start() -> None:
    """Start the executor of this process. Raises SandboxError or AlreadyExecuting."""
    raise NotImplementedError


async def stop() -> None:
    """End this process's runs as cancelled, with the reason, and its executor."""
    raise NotImplementedError


def describe() -> dict:
    """{"executor": "embedded" | "elsewhere" | "none", "running", "queued", "sandbox": {...}}."""
    raise NotImplementedError
