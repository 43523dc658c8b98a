"""From the launch by the API to the first output, besides the shell's own start."""

import json
import os
import select
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from runs.sandboxes.confine import Confinement

from .live import a_site
from .servers import Failed, Site
from .table import Measure, Row
from .viewers import Viewer, launch

ECHOES = 30
PRINTS = 5
# The next kernel must be warm again; nothing tells when it is.
WARM_SECONDS = 3.0
OUTPUT_SECONDS = 30


def first_output(site: Site, spec: dict) -> float:
    """Milliseconds from the POST to the first frame that holds output."""
    run, began = launch(site.port, site.token, spec)
    viewer = Viewer(site.port, run["urls"]["websocket"], site.token, "ws", True, False)
    deadline = time.monotonic() + OUTPUT_SECONDS
    while time.monotonic() < deadline:
        for at, payload in viewer.frames:
            if payload.startswith(b'{"type":"chunks"'):
                check(json.loads(payload)["chunks"][0])
                viewer.socket.close()
                site.wait_until(run, lambda now: now["finished_at"])
                return (at - began) / 1e6
        select.select([viewer.socket], [], [], 1)
        viewer.read()
    raise Failed("there was no output")


def check(chunk: dict) -> None:
    if (chunk["stream"], chunk["text"]) != ("stdout", "hello\n"):
        raise Failed(f"the first output was {chunk}")


def shell_starts(confined: bool) -> list[float]:
    """Milliseconds that `bash -lc "echo hello"` takes by itself, confined as runs are."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        os.chmod(scratch, 0o755)
        call: list[str] = []
        if confined:
            confinement = Confinement([], Path(scratch), network=False)
            if reason := confinement.try_out(home):
                raise Failed(reason)
            call = confinement.argv(str(home), confinement.user_id())
        try:
            return [shell_start([*call, "/bin/bash", "-lc", "echo hello"]) for _ in range(ECHOES)]
        finally:
            if confined:
                confinement.close()


def shell_start(argv: list[str]) -> float:
    began = time.monotonic_ns()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as shell:
        if shell.stdout.read(6) != b"hello\n":
            raise Failed("the shell alone does not start")
        return (time.monotonic_ns() - began) / 1e6


def take_launch(quick: bool) -> dict[str, float]:
    with a_site() as site:
        confined = site.call("GET", "/health")["sandbox"]["confined"]
        echo = {"kind": "command", "program": "echo hello"}
        first_output(site, echo)
        whole = statistics.median(first_output(site, echo) for _ in range(ECHOES))
        shell = statistics.median(shell_starts(confined))
        return {"launch_echo": whole - shell, "launch_echo_whole": whole, "launch_shell": shell}


def take_notebook(quick: bool) -> dict[str, float]:
    with a_site() as site:
        cell = {"kind": "python", "mode": "notebook", "program": "print('hello')"}
        found = []
        for _ in range(PRINTS):
            time.sleep(WARM_SECONDS)
            found.append(first_output(site, cell))
        return {"launch_print": statistics.median(found)}


MEASURES = [
    Measure(
        "launch",
        (
            Row("launch_echo", "POST to first output of echo, besides the shell's start", "ms", 25),
            Row("launch_shell", "  the shell's start: the sandbox with bash -lc", "ms"),
        ),
        take_launch,
    ),
    Measure(
        "notebook",
        (Row("launch_print", "POST to first output of a notebook's print, warm", "ms", 50),),
        take_notebook,
    ),
]
