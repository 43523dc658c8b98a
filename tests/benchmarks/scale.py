"""Several processes over PostgreSQL and Redis: from launch to start, from print to frame."""

import json
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

from . import programs
from .crowd import Crowd
from .launches import first_output
from .scale_cluster import Team, a_team, the_cluster
from .servers import ROOT, Failed, ended_with_us
from .table import Measure, Row, percentile

ECHOES = 30
RATE, SECONDS = 100, 10
RUN_RATE, RUN_SECONDS = 10, 6
WIDE_RATE, WIDE_SECONDS = 20, 5
RUNS = (25, 50, 100, 200)
VIEWERS = (62, 125, 250, 500)
CHUNKS = 200_000
ROOMS = ("web", "worker", "postgresql", "redis", "machine")


# --- from commit to start ----------------------------------------------------------

SINCE = """
SELECT extract(epoch FROM started_at - created_at)::float8 * 1000 FROM runs_run
WHERE program = '"echo hello"'::jsonb
"""


class Launching:
    """A web process, as launches.first_output() wants a site."""

    def __init__(self, web):
        self._web = web
        self.port, self.token = web.port, web.token

    def wait_until(self, run: dict, is_so) -> dict:
        return self._web.until(run["id"], is_so)


def take_start(quick: bool) -> dict[str, float]:
    echo = {"kind": "command", "program": "echo hello"}
    with a_team() as team:
        site = Launching(team.webs[0])
        first_output(site, {"kind": "command", "program": "echo 'hello'"})
        outputs = [first_output(site, echo) for _ in range(ECHOES // 3 if quick else ECHOES)]
        started = [milliseconds for (milliseconds,) in team.cluster.sql(SINCE)]
    return {
        "scale_start_p50": percentile(started, 50),
        "scale_start_p99": percentile(started, 99),
        "scale_output": statistics.median(outputs),
    }


# --- from print to frame -----------------------------------------------------------


def delays(team: Team, paths: list[list[str]], go: list[str], lines: int) -> dict:
    """What the viewers of each web process found, taken together, and who needed what CPU."""
    options = {"finding": "stamps", "lines": lines}
    with ExitStack() as stack:
        crowds = [
            stack.enter_context(Crowd(web, some, go=[] if number else go, **options))
            for number, (web, some) in enumerate(zip(team.webs, paths, strict=True))
        ]
        for crowd in crowds:
            crowd.join()
        before, began = team.cpu_seconds(), time.monotonic()
        crowds[0].go()
        found = [crowd.whole_findings() for crowd in crowds]
        seconds = time.monotonic() - began
        after = team.cpu_seconds()
    cpu = {room: (after[room] - before[room]) / seconds for room in ROOMS}
    return {"delays": [delay for some in found for delay in some["delays"]], "cpu": cpu}


def spread(name: str, found: dict) -> dict[str, float]:
    """CPU in hundredths of a core."""
    cpu = {f"{name}_{room}": 100 * share for room, share in found["cpu"].items()}
    percents = {f"{name}_p{percent}": percentile(found["delays"], percent) for percent in (50, 99)}
    return percents | cpu


def take_across(quick: bool) -> dict[str, float]:
    lines = RATE * (3 if quick else SECONDS)
    with a_team() as team:
        (run,) = team.launch_ready(1, programs.stamps(lines, RATE))
        found = delays(team, [[run["urls"]["websocket"]]], [programs.GO], lines)
    return spread("scale_across", found)


def take_runs(quick: bool) -> dict[str, float]:
    """More and more runs on one worker, each watched at one web process."""
    lines, found = RUN_RATE * RUN_SECONDS, {}
    program = programs.stamps(lines, RUN_RATE, phase=True)
    with a_team() as team:
        for count in RUNS[:2] if quick else RUNS:
            runs = team.launch_ready(count, program)
            paths = [run["urls"]["websocket"] for run in runs]
            found |= spread(f"runs_{count}", delays(team, [paths], [programs.GO] * count, lines))
    return found


def take_viewers(server: str):
    """More and more viewers of one run, half of them at each of two web processes."""

    def take(quick: bool) -> dict[str, float]:
        lines, found = WIDE_RATE * WIDE_SECONDS, {}
        with a_team(server, webs=2) as team:
            for count in VIEWERS[:2] if quick else VIEWERS:
                (run,) = team.launch_ready(1, programs.stamps(lines, WIDE_RATE))
                path = [run["urls"]["websocket"]]
                paths = [path * (count - count // 2), path * (count // 2)]
                found |= spread(f"{server}_{count}", delays(team, paths, [programs.GO], lines))
        return found

    return take


# --- how much is stored ------------------------------------------------------------


def take_stored(workers: int):
    def take(quick: bool) -> dict[str, float]:
        cluster = the_cluster()
        cluster.sql("TRUNCATE runs_chunk, runs_run, procrastinate_jobs CASCADE")
        count = CHUNKS // 10 if quick else CHUNKS
        with ExitStack() as stack:
            storing = [stack.enter_context(Storing(cluster, count)) for _ in range(workers)]
            for one in storing:
                one.hear()
            for one in storing:
                one.go()
            times = [one.hear() for one in storing]
        seconds = max(end for _, end in times) - min(begin for begin, _ in times)
        return {f"stored_{workers}": workers * count / seconds}

    return take


class Storing:
    """A process that stores chunks when it is told to: see scale_storing.py."""

    def __init__(self, cluster, count: int):
        self._process = subprocess.Popen(
            [*ended_with_us(), sys.executable, "-m", "tests.benchmarks.scale_storing", str(count)],
            cwd=ROOT, env=cluster.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.communicate()

    def hear(self):
        if line := self._process.stdout.readline():
            return json.loads(line)
        raise Failed("the process that stores failed")

    def go(self) -> None:
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()


# --- the table ---------------------------------------------------------------------


def rows_of_viewers(server: str) -> tuple[Row, ...]:
    most = VIEWERS[-1]
    text = f"{most} viewers at two web processes ({server}), {WIDE_RATE} batches/s: p50"
    return Row(f"{server}_{most}_p50", text, "ms"), Row(f"{server}_{most}_p99", "  p99", "ms")


MEASURES = [
    Measure(
        "scale_start",
        (
            Row("scale_start_p50", "several processes: created to started, p50", "ms"),
            Row("scale_start_p99", "  p99", "ms"),
            Row("scale_output", "  POST to first output of echo, shell's start included", "ms"),
        ),
        take_start,
    ),
    Measure(
        "scale_across",
        (
            Row("scale_across_p50", "print to frame across processes, 100 chunks/s: p50", "ms", 4),
            Row("scale_across_p99", "  p99", "ms", 15),
        ),
        take_across,
    ),
    Measure(
        "scale_runs",
        (
            Row("runs_200_p50", "200 runs on one worker, 10 lines/s each, watched: p50", "ms"),
            Row("runs_200_p99", "  p99", "ms", 50),
        ),
        take_runs,
    ),
    Measure(
        "stored_1",
        (
            Row(
                "stored_1", "stored on PostgreSQL by one worker", "chunks/s", 50_000, least=True,
            ),
        ),
        take_stored(1),
    ),
    Measure("stored_2", (Row("stored_2", "  by two", "chunks/s"),), take_stored(2)),
    Measure("scale_daphne", rows_of_viewers("daphne"), take_viewers("daphne")),
    Measure("scale_uvicorn", rows_of_viewers("uvicorn"), take_viewers("uvicorn")),
]  # fmt: skip

GROWTH = [
    ("runs", [(count, f"runs_{count}") for count in RUNS]),
    ("viewers, daphne", [(count, f"daphne_{count}") for count in VIEWERS]),
    ("viewers, uvicorn", [(count, f"uvicorn_{count}") for count in VIEWERS]),
]


def growth(values: dict[str, list[float]]) -> str:
    """What each doubling costs: delays in ms, CPU in hundredths of a core; "" if not measured."""
    lines = [("doubling", "p50", "p99", *ROOMS, "ours, ×")]
    for what, series in GROWTH:
        before = None
        for count, name in series:
            if f"{name}_p50" not in values:
                continue
            median = {
                column: statistics.median(values[f"{name}_{column}"])
                for column in ("p50", "p99", *ROOMS)
            }
            ours = sum(median[room] for room in ROOMS[:-1])
            times = f"{ours / before:.2f}" if before else ""
            cpu = [f"{median[room]:.0f}" for room in ROOMS]
            p50, p99 = (f"{median[column]:.1f}" for column in ("p50", "p99"))
            lines.append((f"{count} {what}", p50, p99, *cpu, times))
            before = ours
    if len(lines) == 1:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )
