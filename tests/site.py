"""A real streamsite as a subprocess, for tests from end to end."""

import atexit
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "end to end password"


class Site:
    """`manage.py quickstart` on a free port, with a token of its administrator.

    Stopped and started again it keeps its data dir; close() removes it. If not `fresh`,
    somebody has started and stopped it before, and the token is of then.
    """

    command = "quickstart"
    # What it prints, with where it is, and when it is ready.
    tells = re.compile(r"streamsite is at (http\S+)/")
    ready = "Ctrl-C"

    def __init__(self, *, fresh: bool = False, **environment: str):
        self._directory = tempfile.TemporaryDirectory(prefix="streamsite-site-")
        self.data_dir = Path(self._directory.name)
        self._environment = {
            **os.environ,
            "STREAMSITE_DATA_DIR": str(self.data_dir),
            "STREAMSITE_ADMIN_PASSWORD": PASSWORD,
            "STREAMSITE_LOCAL_NOTEBOOK_SPARE": "0",
            # Everything in the data dir, whatever the tests themselves run on.
            "DATABASE_URL": "",
            "REDIS_URL": "",
            **environment,
        }
        self.process: subprocess.Popen | None = None
        self.url = ""
        self.printed: list[str] = []
        self._token = ""
        if not fresh:
            used, self._token = used_data_dir()
            shutil.copytree(used, self.data_dir, dirs_exist_ok=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.close()

    def start(self, port: int = 0, seconds: float = 30) -> None:
        self.printed = []
        self.process = subprocess.Popen(
            [sys.executable, *self.arguments(), "--port", str(port)],
            cwd=ROOT, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        ready = threading.Event()
        reader = threading.Thread(target=self._read, args=(self.process, ready), daemon=True)
        reader.start()
        if not ready.wait(seconds) or not self.url:
            self.kill()
            raise AssertionError("The site did not start:\n" + "".join(self.printed))

    def arguments(self) -> list[str]:
        return ["manage.py", self.command]

    def _read(self, process, ready) -> None:
        with process.stdout:
            for line in process.stdout:
                self.printed.append(line)
                if found := self.tells.search(line):
                    self.url = found[1]
                if self.ready in line:
                    ready.set()
        ready.set()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def token(self) -> str:
        if not self._token:
            self._token = self.manage("token", "make", "admin", "tests").split()[-1]
        return self._token

    def manage(self, *arguments: str, check: bool = True) -> str:
        """A terminal command beside the server; what it printed."""
        done = self.run_command(*arguments)
        if check and done.returncode:
            raise AssertionError(f"{arguments} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def run_command(self, *arguments: str, **more) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self._environment, text=True, capture_output=True, timeout=60, **more,
        )  # fmt: skip

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        self.kill()
        self._directory.cleanup()

    # --- over HTTP and WebSocket ----------------------------------------------

    def request(self, method: str, path: str, body=None) -> tuple[int, dict | str]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read())

    def launch(self, program, kind: str = "command", **fields) -> dict:
        status, run = self.request(
            "POST", "/api/runs", {"kind": kind, "program": program, **fields}
        )
        assert status == 201, run
        return run

    def run(self, run_id: str) -> dict:
        return self.request("GET", f"/api/runs/{run_id}")[1]

    def until(self, run_id: str, condition, seconds: float = 20) -> dict:
        deadline = time.monotonic() + seconds
        while not condition(run := self.run(run_id)):
            assert time.monotonic() < deadline, run
            time.sleep(0.02)
        return run

    def ended(self, run_id: str, seconds: float = 20) -> dict:
        return self.until(run_id, lambda run: run["finished_at"], seconds)

    def socket(self, run_id: str, after: int = 0, **options):
        """A WebSocket viewer."""
        return connect(
            f"ws{self.url[4:]}/ws/runs/{run_id}/?after={after}",
            additional_headers={"Authorization": f"Bearer {self.token}"},
            max_size=None, compression=None, **options,
        )  # fmt: skip

    def chunks(self, run_id: str) -> list[dict]:
        found, after = [], 0
        while after is not None:
            page = self.request("GET", f"/api/runs/{run_id}/chunks?after={after}&limit=5000")[1]
            found += page["items"]
            after = page["next"]
        return found


@functools.cache
def used_data_dir() -> tuple[Path, str]:
    """That of a site that has run once, and a token; what a first start makes takes longer
    than the start."""
    directory = Path(tempfile.mkdtemp(prefix="streamsite-used-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    with Site(fresh=True) as site:
        token = site.token
        site.stop()
        shutil.copytree(site.data_dir, directory, dirs_exist_ok=True)
    return directory, token


def _parsed(body: bytes) -> dict | str:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
