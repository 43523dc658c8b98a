"""From print to frame: how long a line takes from the program to its viewers."""

import json
from contextlib import contextmanager
from pathlib import Path

from . import programs
from .crowd import Crowd
from .servers import Site, Textbook, fresh_directory
from .table import Measure, Row, percentile

RATE = 100
WIDE_RATE = 20
MANY_RUNS = 100


def seconds_of(quick: bool) -> int:
    return 3 if quick else 10


@contextmanager
def a_site(**environment: str):
    with fresh_directory() as directory, Site(Path(directory), **environment) as site:
        yield site


@contextmanager
def the_peer():
    with fresh_directory() as directory, Textbook(Path(directory)) as peer:
        yield peer


def delays(site: Site, viewers: int, rate: float, seconds: int) -> dict:
    """Findings of `viewers` of one run that prints `rate` lines a second."""
    lines = int(rate * seconds)
    run = site.launch_ready(programs.stamps(lines, rate))
    paths = [run["urls"]["websocket"]] * viewers
    with Crowd(site, paths, finding="stamps", lines=lines, go=[programs.GO]) as crowd:
        crowd.join()
        cpu = site.cpu_seconds()
        crowd.go()
        found = crowd.whole_findings()
        return found | {"server_cpu_seconds": site.cpu_seconds() - cpu}


def peer_delays(peer: Textbook, viewers: int, rate: float, seconds: int) -> dict:
    lines = int(rate * seconds)
    go = json.dumps({"program": programs.stamps(lines, rate)})
    options = {"finding": "stamps", "lines": lines + 1, "go": [go], "idle_seconds": 15}
    with Crowd(peer, ["/ws/"] * viewers, **options) as crowd:
        crowd.join()
        cpu = peer.cpu_seconds()
        crowd.go()
        found = crowd.findings()
        return found | {"server_cpu_seconds": peer.cpu_seconds() - cpu}


def spread(name: str, found: dict) -> dict[str, float]:
    return {
        f"{name}_p50": percentile(found["delays"], 50),
        f"{name}_p99": percentile(found["delays"], 99),
        f"{name}_viewers_cpu_seconds": found["cpu_seconds"],
        f"{name}_server_cpu_seconds": found["server_cpu_seconds"],
    }


def take_watched_by(viewers: int, rate: float):
    def take(quick: bool) -> dict[str, float]:
        with a_site() as site:
            found = delays(site, viewers, rate, seconds_of(quick))
            return spread(f"live_{viewers}", found)

    return take


def take_peer(viewers: int, rate: float):
    def take(quick: bool) -> dict[str, float]:
        with the_peer() as peer:
            found = peer_delays(peer, viewers, rate, seconds_of(quick))
            lost = found["missing"] - viewers  # the line that says "ready" is no stamp
            return spread(f"peer_{viewers}", found) | {f"peer_{viewers}_lost": lost}

    return take


def take_beside_flood(quick: bool) -> dict[str, float]:
    with a_site() as site:
        flood = site.launch("python", programs.FLOOD, timeout=0)
        with Crowd(site, [flood["urls"]["websocket"]]) as crowd:
            crowd.join()
            found = delays(site, 1, RATE, seconds_of(quick))
        printed = site.call("GET", f"/api/runs/{flood['id']}")["lines"]
        site.end(flood)
        return spread("beside_flood", found) | {"beside_flood_lines": printed}


def take_many_runs(quick: bool) -> dict[str, float]:
    lines = WIDE_RATE * seconds_of(quick)
    program = programs.stamps(lines, WIDE_RATE, phase=True)
    with a_site() as site:
        count = MANY_RUNS // 5 if quick else MANY_RUNS
        runs = [site.launch("python", program, stdin=True, timeout=0) for _ in range(count)]
        for run in runs:
            site.wait_until(run, lambda now: now["last_seq"] > 0)
        paths = [run["urls"]["websocket"] for run in runs]
        options = {"finding": "stamps", "lines": lines, "go": [programs.GO] * count}
        with Crowd(site, paths, **options) as crowd:
            crowd.join()
            cpu = site.cpu_seconds()
            crowd.go()
            found = crowd.whole_findings()
            found["server_cpu_seconds"] = site.cpu_seconds() - cpu
            return spread("many_runs", found)


MEASURES = [
    Measure(
        "live_1",
        (
            Row("live_1_p50", "print to frame, 100 chunks/s, 1 viewer: p50", "ms", 1.5),
            Row("live_1_p99", "  p99", "ms", 5),
        ),
        take_watched_by(1, RATE),
    ),
    Measure(
        "peer_1",
        (
            Row("peer_1_p50", "  the textbook pattern: p50", "ms"),
            Row("peer_1_p99", "  p99", "ms"),
        ),
        take_peer(1, RATE),
    ),
    Measure(
        "live_50",
        (Row("live_50_p99", "same, 50 viewers: p99", "ms", 12),),
        take_watched_by(50, RATE),
    ),
    Measure(
        "peer_50",
        (
            Row("peer_50_p99", "  the textbook pattern: p99", "ms"),
            Row("peer_50_lost", "  lines it lost", ""),
        ),
        take_peer(50, RATE),
    ),
    Measure(
        "beside_flood",
        (Row("beside_flood_p99", "same, 1 viewer, beside a watched flood: p99", "ms", 50),),
        take_beside_flood,
    ),
    Measure(
        "live_500",
        (Row("live_500_p99", "500 viewers of one run, 20 batches/s: p99", "ms", 250),),
        take_watched_by(500, WIDE_RATE),
    ),
    Measure(
        "peer_500",
        (
            Row("peer_500_p99", "  the textbook pattern: p99", "ms"),
            Row("peer_500_lost", "  lines it lost", ""),
        ),
        take_peer(500, WIDE_RATE),
    ),
    Measure(
        "many_runs",
        (Row("many_runs_p99", "100 runs at once, 20 lines/s each, each watched: p99", "ms", 50),),
        take_many_runs,
    ),
]
