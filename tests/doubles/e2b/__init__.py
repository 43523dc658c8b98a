"""A double of E2B: a real HTTP server on loopback that the real SDK talks to."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
API_KEY = "e2b_double"


class E2BDouble:
    """The double in a process of its own; ends with close(), or with whoever started it."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.e2b"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("The E2B double did not start.")

    @property
    def environment(self) -> dict[str, str]:
        """What the SDK must find in its environment."""
        return {"E2B_API_URL": self.url, "E2B_SANDBOX_URL": self.url, "E2B_API_KEY": API_KEY}

    def fault(self, call: str, **how) -> None:
        """Let something go wrong; see faults.Fault."""
        self._ask("fault", call=call, **how)

    def settings(self, **values) -> None:
        self._ask("settings", **values)

    def reset(self) -> None:
        """End all sandboxes, forget faults, counts and settings."""
        self._ask("reset")

    def die(self, sandbox_id: str) -> None:
        """A sandbox ends by itself."""
        self._ask("die", id=sandbox_id)

    def drop(self, sandbox_id: str) -> None:
        """Break all streams of a sandbox that goes on."""
        self._ask("drop", id=sandbox_id)

    @property
    def calls(self) -> dict[str, int]:
        return self._ask("state")["calls"]

    @property
    def asked(self) -> list[dict]:
        """What the code interpreters were asked to do."""
        return self._ask("state")["asked"]

    @property
    def sandboxes(self) -> list[dict]:
        """Those that live."""
        return self._ask("state")["sandboxes"]

    def _ask(self, switch: str, **given) -> dict:
        request = urllib.request.Request(
            f"{self.url}/_double/{switch}", json.dumps(given).encode(), method="POST"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def environ(self) -> dict[str, str]:
        """This process's environment with the double in it, for another process."""
        return {**os.environ, **self.environment}
