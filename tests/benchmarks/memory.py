"""What the server process holds: idle, after a flood, and for each viewer, download and run."""

import time
from contextlib import ExitStack

from .crowd import Crowd
from .live import a_site
from .servers import Failed, Site
from .table import Measure, Row

FLOOD_LINES = 3_000_000
VIEWERS = 500
WARM_VIEWERS = 20
STALLED = 5
# 300 MB and more.
LONG_LINES = 40_000_000
RUNS = 100
WARM_RUNS = 10
SETTLE_SECONDS = 2
STALL_SECONDS = 20
PATIENT = {"STREAMSITE_VIEWER_STALL_SECONDS": "900", "STREAMSITE_OUTPUT_CAP_BYTES": str(1024**3)}


def settled(site: Site) -> int:
    time.sleep(SETTLE_SECONDS)
    return site.resident()


def wait_for_stalled(site: Site, count: int) -> None:
    deadline = time.monotonic() + STALL_SECONDS
    while site.held_up() < count:
        if time.monotonic() > deadline:
            raise Failed(f"{site.held_up()} of {count} clients stall")
        time.sleep(0.1)


def most_until_end(site: Site, run: dict) -> int:
    """The most that the server holds while a run is watched to its end."""
    most = 0
    with Crowd(site, [run["urls"]["websocket"]]):

        def over(now: dict) -> bool:
            nonlocal most
            most = max(most, site.resident())
            return now["finished_at"] is not None

        site.wait_until(run, over, seconds=600)
    return most


def take_memory(quick: bool) -> dict[str, float]:
    with a_site() as site:
        idle = settled(site)
        run = site.launch("command", f"seq 1 {FLOOD_LINES}", timeout=0)
        most_until_end(site, run)
        return {"idle": idle / 1e6, "after_flood": settled(site) / 1e6}


def take_viewers(kind: str):
    def take(quick: bool) -> dict[str, float]:
        with a_site() as site:
            run = site.launch("command", "seq 1 20; sleep 600", timeout=0)
            path = run["urls"]["websocket" if kind == "ws" else "events"]
            with Crowd(site, [path] * WARM_VIEWERS, kind=kind) as crowd:
                crowd.join()
            before = settled(site)
            with Crowd(site, [path] * VIEWERS, kind=kind) as crowd:
                crowd.join()
                each = (settled(site) - before) / VIEWERS
            site.end(run)
            return {f"{kind}_viewer": each / 1e3}

    return take


def take_stalled(quick: bool) -> dict[str, float]:
    """What a flood takes beyond what it takes without them, and then a download."""
    lines = LONG_LINES // (8 if quick else 1)
    with a_site(**PATIENT) as site, ExitStack() as stack:
        runs, most = [], []
        for stalled in (0, 0, STALLED):
            # It begins when the stalled viewers are there.
            run = site.launch("command", f"sleep 3; seq 1 {lines}", timeout=0)
            if stalled:
                paths = [run["urls"]["websocket"]] * stalled
                stack.enter_context(Crowd(site, paths, stalls=True)).join()
            most.append(most_until_end(site, run))
            wait_for_stalled(site, stalled)
            runs.append(run)
        before = settled(site)
        path = runs[0]["urls"]["export"]
        with Crowd(site, [path] * STALLED, kind="download", stalls=True) as crowd:
            crowd.join()
            wait_for_stalled(site, 2 * STALLED)
            download = settled(site) - before
        return {
            "stalled_viewer": (most[2] - most[1]) / STALLED / 1e6,
            "stalled_download": download / STALLED / 1e6,
            "long_flood_most": most[1] / 1e6,
        }


def take_running(quick: bool) -> dict[str, float]:
    with a_site() as site:

        def launch(count: int) -> list[dict]:
            runs = [site.launch("command", "echo up; sleep 600", timeout=0) for _ in range(count)]
            for run in runs:
                site.wait_until(run, lambda now: now["last_seq"] > 0)
            return runs

        for run in launch(WARM_RUNS):
            site.end(run)
        before = settled(site)
        launch(RUNS)
        return {"running_run": (settled(site) - before) / RUNS / 1e6}


MEASURES = [
    Measure(
        "memory",
        (
            Row("idle", "resident memory of the server: idle", "MB", 150),
            Row("after_flood", f"  after a flood of {FLOOD_LINES:,} lines", "MB", 200),
        ),
        take_memory,
    ),
    Measure(
        "ws_memory", (Row("ws_viewer", "  each WebSocket viewer", "KB", 64),), take_viewers("ws")
    ),
    Measure("sse_memory", (Row("sse_viewer", "  each SSE viewer", "KB", 64),), take_viewers("sse")),
    Measure(
        "stalled_memory",
        (
            Row("stalled_viewer", "  a viewer that stalls", "MB", 8),
            Row("stalled_download", "  a download that stalls", "MB", 8),
        ),
        take_stalled,
    ),
    Measure("runs_memory", (Row("running_run", "  each running run", "MB", 1),), take_running),
]
