"""A real streamsite of several processes: PostgreSQL, Redis, web processes and workers."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

from .servers import PostgreSQL, Redis
from .site import PASSWORD, ROOT, Site

SECONDS = 30.0


class Web(Site):
    """One `manage.py serve` of a cluster; its data dir is the cluster's."""

    command = "serve"

    def __init__(self, cluster: "Cluster", **environment: str):
        self._cluster = cluster
        self._environment = cluster.environment | environment
        self.data_dir = cluster.data_dir
        self.process = None
        self.url, self.printed = "", []

    @property
    def token(self) -> str:
        return self._cluster.token

    def close(self) -> None:
        self.kill()


class Worker:
    """One `manage.py worker` of a cluster."""

    def __init__(self, cluster: "Cluster", concurrency: int, **environment: str):
        self.printed: list[str] = []
        ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "worker", "--concurrency", str(concurrency)],
            cwd=ROOT, env=cluster.environment | environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        if not ready.wait(SECONDS) or self.process.poll() is not None:
            self.kill()
            raise AssertionError("The worker did not start:\n" + "".join(self.printed))

    def _read(self, ready: threading.Event) -> None:
        with self.process.stdout:
            for line in self.process.stdout:
                self.printed.append(line)
                if line.startswith("Worker for"):
                    ready.set()
        ready.set()

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, seconds: float = SECONDS) -> int:
        """SIGTERM; the exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGKILL)
        self.process.wait(SECONDS)


class Cluster:
    """The servers, an administrator and his token; processes come by web() and worker()."""

    def __init__(self, **environment: str):
        self._directory = tempfile.TemporaryDirectory(prefix="streamsite-cluster-")
        self.data_dir = Path(self._directory.name)
        self.postgresql, self.redis = PostgreSQL(), Redis()
        self._processes: list = []
        self.environment = {
            **os.environ,
            "STREAMSITE_DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.postgresql.url,
            "REDIS_URL": self.redis.url,
            "STREAMSITE_LOCAL_NOTEBOOK_SPARE": "0",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            **environment,
        }

    def __enter__(self):
        try:
            self.postgresql.start()
            self.redis.start()
            self.manage("migrate", "--verbosity", "0")
            admin = ("--username", "admin", "--email", "")
            self.manage("createsuperuser", "--noinput", *admin)
            self.token = self.manage("token", "make", "admin", "tests").split()[-1]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self.redis.close()
        self.postgresql.close()
        self._directory.cleanup()

    def sql(self, query: str, *parameters) -> list[tuple]:
        with psycopg.connect(self.postgresql.url, autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, text=True, capture_output=True, timeout=120,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"{arguments} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def web(self, **environment: str) -> Web:
        web = Web(self, **environment)
        self._processes.append(web)
        web.start()
        return web

    def worker(self, concurrency: int = 100, **environment: str) -> Worker:
        worker = Worker(self, concurrency, **environment)
        self._processes.append(worker)
        return worker


def until(condition, seconds: float = SECONDS):
    """What `condition` gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)
    return found
