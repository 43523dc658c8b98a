"""A process full of viewers, as the process that measures sees it."""

import json
import select
import subprocess
import sys
import time

from .servers import ROOT, Failed, ended_with_us

JOIN_SECONDS = 120


class Crowd:
    """Viewers of `paths`, or of the run that they launch themselves with `launch`.

    finding: None to keep nothing, "stamps" for delays, "count" to check 1 … `lines`,
    "padded" the same with zeros before them.
    go: what each viewer, in order, sends when go() is called. The viewers end with
    the stream, after `seconds`, or after `idle_seconds` (0: never) without output.
    """

    def __init__(
        self, server, paths=(), *, launch=None, kind="ws", finding=None, lines=0,
        go=(), stalls=False, seconds=300, idle_seconds=0,
    ):  # fmt: skip
        self._process = subprocess.Popen(
            [*ended_with_us(), sys.executable, "-m", "tests.benchmarks.viewers"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        job = {
            "port": server.port, "token": server.token, "paths": list(paths), "launch": launch,
            "kind": kind, "finding": finding, "lines": lines, "go": list(go),
            "stalls": stalls, "seconds": seconds, "idle_seconds": idle_seconds,
        }  # fmt: skip
        self._seconds = seconds
        self._tell(json.dumps(job))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.communicate()

    def _tell(self, line: str) -> None:
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self, seconds: float) -> dict:
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise Failed("the viewers did not answer in time")
        if line := self._process.stdout.readline():
            return json.loads(line)
        raise Failed("the viewers' process failed")

    def join(self) -> "Crowd":
        """Wait until all of them have joined."""
        self._hear(JOIN_SECONDS)
        return self

    def go(self) -> None:
        self._tell("go")

    def findings(self) -> dict:
        """What they saw, when all have come to their end. Raises Failed if it is not whole."""
        deadline = time.monotonic() + self._seconds + 60
        while "ended" not in (found := self._hear(deadline - time.monotonic())):
            pass
        return found

    def whole_findings(self) -> dict:
        found = self.findings()
        if found.get("missing") or found.get("wrong"):
            raise Failed(f"{found['missing']} lines missing; {found['wrong'] or 'order is right'}")
        return found

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
