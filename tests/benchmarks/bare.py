"""The E2B SDK alone, with callbacks that only count: `python -m tests.benchmarks.bare`.

Its stdin is a job, its answer one line: {"command", "count", "stamps"} runs `command`
in `count` sandboxes at once. With `stamps` every program waits for a line of stdin
until all are ready, and what it prints is kept with the moment of its arrival.
"""

import asyncio
import json
import os
import sys
import time

from e2b_code_interpreter import AsyncSandbox


class Counted:
    """One program in a sandbox of its own, and what came of it."""

    def __init__(self, keeps: bool):
        self.keeps = keeps
        self.first_at = self.last_at = self.lines = self.calls = 0
        self.kept: list[tuple[int, str]] = []
        self.ready = asyncio.Event()

    def hear(self, text: str) -> None:
        self.last_at = time.monotonic_ns()
        self.first_at = self.first_at or self.last_at
        self.calls += 1
        self.lines += text.count("\n")
        if self.keeps:
            self.kept.append((self.last_at, text))
            self.ready.set()

    async def run(self, command: str, go: asyncio.Event | None) -> None:
        self.began_at = time.monotonic_ns()
        sandbox = await AsyncSandbox.create()
        try:
            handle = await sandbox.commands.run(
                command, background=True, stdin=bool(go), timeout=0,
                retain_output=False, on_stdout=self.hear,
            )  # fmt: skip
            if go:
                await go.wait()
                await sandbox.commands.send_stdin(handle.pid, "go\n")
            await handle.wait()
            self.ended_at = time.monotonic_ns()
        finally:
            await sandbox.kill()

    def delays(self) -> list[float]:
        """Milliseconds from each stamp to its arrival."""
        return [
            (at - int(word)) / 1e6
            for at, text in self.kept
            for word in text.split()
            if word.isdigit()
        ]

    def findings(self) -> dict:
        names = ("began_at", "first_at", "last_at", "ended_at", "lines", "calls")
        found = {name: getattr(self, name) for name in names}
        return found | ({"delays": self.delays()} if self.keeps else {})


async def measure(job: dict) -> list[dict]:
    # The first call of all loads code and opens connections.
    await Counted(False).run("echo warm", None)
    programs = [Counted(job["stamps"]) for _ in range(job["count"])]
    go = asyncio.Event() if job["stamps"] else None
    runs = [asyncio.create_task(program.run(job["command"], go)) for program in programs]
    if go:
        for program in programs:
            await program.ready.wait()
        go.set()
    await asyncio.gather(*runs)
    return [program.findings() for program in programs]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.load(sys.stdin)))), flush=True)
    # The SDK's own threads may abort a normal exit.
    os._exit(0)
