"""The servers that are measured, each a process with a directory of its own."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "for-the-benchmarks-only"
START_SECONDS = 60
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A measure could not be taken, or what was delivered is not whole."""


def ended_with_us() -> list[str]:
    """What makes a child end even when we are killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


class Server:
    """A server process; `argv` makes it say `at http://127.0.0.1:PORT/` on its output."""

    token = ""

    def __init__(self, argv: list[str], directory: Path, **environment: str):
        self.directory = directory
        self._log = directory / "server.log"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STREAMSITE_", "E2B_", "ANTHROPIC_", "DJANGO_"))
            and name not in ("DATABASE_URL", "REDIS_URL")
        }
        self.environment = inherited | {"STREAMSITE_DATA_DIR": str(directory)} | environment
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*ended_with_us(), sys.executable, *argv],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.stop()
            raise

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"at http://127\.0\.0\.1:(\d+)/", self.said()):
                return int(found[1])
            time.sleep(0.02)
        raise Failed(f"the server did not start: {self.said()[-2000:]}")

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def resident(self) -> int:
        """Bytes of memory that the server process itself holds."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * PAGE_BYTES

    def held_up(self) -> int:
        """How many connections have something to send that their clients do not take."""
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        local = f":{self.port:04X}"
        return sum(row[1].endswith(local) and row[4].split(":")[0] != "00000000" for row in rows)

    def cpu_seconds(self) -> float:
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Site(Server):
    """streamsite as `manage.py quickstart` starts it, and a token of its administrator."""

    def __init__(self, directory: Path, **environment: str):
        argv = ["manage.py", "quickstart", "--port", "0", "--data-dir", str(directory)]
        super().__init__(argv, directory, STREAMSITE_ADMIN_PASSWORD=PASSWORD, **environment)
        try:
            self.token = self._make_token()
        except BaseException:
            self.stop()
            raise

    def _make_token(self) -> str:
        return self.manage("manage.py", "token", "make", "admin", "benchmarks").strip()

    def manage(self, *argv: str) -> str:
        """What a command on the same data prints."""
        done = subprocess.run(
            [*ended_with_us(), sys.executable, *argv],
            cwd=ROOT, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"{' '.join(argv)} failed: {done.stderr[-2000:]}")
        return done.stdout

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        connection = self.connect()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, body and json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status >= 300:
            raise Failed(f"{method} {path}: {response.status} {content.decode()[:500]}")
        return json.loads(content)

    def launch(self, kind: str, program: str, **fields) -> dict:
        return self.call("POST", "/api/runs", {"kind": kind, "program": program, **fields})

    def launch_ready(self, program: str, **fields) -> dict:
        """Launch a program that says when it is ready, and wait for that."""
        run = self.launch("python", program, stdin=True, timeout=0, **fields)
        self.wait_until(run, lambda now: now["last_seq"] > 0)
        return run

    def wait_until(self, run: dict, is_so, seconds: float = 120) -> dict:
        deadline = time.monotonic() + seconds
        while not is_so(now := self.call("GET", f"/api/runs/{run['id']}")):
            if time.monotonic() > deadline:
                raise Failed(f"run {run['id']} stayed {now['status']}: {now['error']}")
            time.sleep(0.05)
        return now

    def end(self, run: dict) -> None:
        """Cancel a run and wait for its end."""
        self.call("POST", run["urls"]["cancel"])
        self.wait_until(run, lambda now: now["finished_at"])

    def log_in(self) -> str:
        """A session's cookie header."""
        connection = self.connect()
        connection.request("GET", "/accounts/login/")
        response = connection.getresponse()
        token = re.search("csrftoken=([^;]+)", response.headers["Set-Cookie"])[1]
        response.read()
        form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"csrftoken={token}",
            "Origin": f"http://127.0.0.1:{self.port}",
        }
        connection.request("POST", "/accounts/login/", urlencode(form), headers)
        response = connection.getresponse()
        cookies = response.headers.get_all("Set-Cookie") or []
        response.read()
        connection.close()
        for cookie in cookies:
            if found := re.match("sessionid=[^;]+", cookie):
                return found[0]
        raise Failed(f"logging in was answered with {response.status}")


class Textbook(Server):
    """The peer: see textbook.py."""

    def __init__(self, directory: Path):
        super().__init__(["-m", "tests.benchmarks.textbook"], directory)


def fresh_directory() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="streamsite-benchmarks-")
