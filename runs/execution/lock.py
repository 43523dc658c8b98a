"""The lock file that makes one process the only executor of a SQLite file."""

import fcntl
import os
from pathlib import Path


class AlreadyExecuting(Exception):
    """Another process holds the lock; a sentence for people."""


class ExecutorLock:
    """Held by the kernel for a living process, so a crash leaves nothing behind."""

    def __init__(self, data_dir: Path):
        self._path = data_dir / "executor.lock"
        self._file = None

    def acquire(self) -> None:
        """Raises AlreadyExecuting."""
        file = open(self._path, "a+")  # noqa: SIM115  (open as long as it is locked)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise AlreadyExecuting(
                f"Another streamsite (process {holder}) already carries the runs of "
                f"{self._path.parent}. Stop it first, or use another --data-dir."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def held_by_anyone(self) -> bool:
        """Whether some process, this one included, holds it now."""
        if self._file:
            return True
        try:
            self.acquire()
        except AlreadyExecuting:
            return True
        self.release()
        return False
