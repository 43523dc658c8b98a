"""The directories that programs work in: made, found again after a crash, and removed."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PREFIX = "run-"
OWNER_FILE = "owner.json"


def home_mark(data_dir: Path) -> str:
    """Tells the programs of this data directory from those of another server."""
    return hashlib.sha256(os.path.realpath(data_dir).encode()).hexdigest()[:12]


def default_scratch(data_dir: Path) -> Path:
    name = f"streamsite-{os.getuid()}-{home_mark(data_dir)}"
    return Path(tempfile.gettempdir()) / name


def make_scratch(path: Path) -> None:
    """Raises OSError if the directory is not ours alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.getuid():
        raise OSError(f"{path} belongs to someone else")
    path.chmod(0o700)


@dataclass(frozen=True, slots=True)
class WorkDir:
    """`top` is ours, `home` inside it is the program's."""

    top: Path

    @property
    def home(self) -> Path:
        return self.top / "home"

    @classmethod
    def make(cls, scratch: Path, run_id: str | None) -> "WorkDir":
        made = cls(Path(tempfile.mkdtemp(prefix=PREFIX, dir=scratch)))
        made.home.mkdir(mode=0o700)
        made.belongs_to(run_id)
        return made

    def belongs_to(self, run_id: str | None) -> None:
        """Say whose it is; None: this server's spare."""
        owner = {"run": run_id, "server": os.getpid()}
        (self.top / OWNER_FILE).write_text(json.dumps(owner))

    def remove(self) -> None:
        """Remove all of it, whatever a program did to its permissions or depth."""
        try:
            shutil.rmtree(self.top)
        except FileNotFoundError:
            pass
        except (OSError, RecursionError):
            # Neither command follows links below the directory it is given.
            for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf", "--one-file-system"]):
                subprocess.run(
                    [*command, "--", str(self.top)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )


def left_behind(scratch: Path, living: set[str]) -> list[WorkDir]:
    """Directories of runs that no longer live and of spares whose server is gone."""
    found = []
    for path in scratch.glob(f"{PREFIX}*"):
        try:
            owner = json.loads((path / OWNER_FILE).read_text())
            run_id, server = owner["run"], int(owner["server"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if run_id is None:
            if not Path(f"/proc/{server}").exists():
                found.append(WorkDir(path))
        elif run_id not in living:
            found.append(WorkDir(path))
    return found
