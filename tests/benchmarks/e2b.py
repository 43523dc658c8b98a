"""Programs in E2B, against the double of its service: what we add to the bare SDK.

Ours is from the program to a WebSocket viewer, recorded on the way; the bare SDK runs
the same in a process of its own, in turns with ours. Both talk to the same double.
"""

import json
import shlex
import statistics
import subprocess
import sys
from contextlib import contextmanager

from tests.doubles.e2b import E2BDouble

from . import programs
from .crowd import Crowd
from .launches import first_output
from .live import a_site, seconds_of
from .memory import PATIENT, settled
from .servers import ROOT, Failed, Site, ended_with_us
from .table import Measure, Row, percentile
from .viewers import PADDED

LINES = 100_000
RATE = 100
WIDE_RATE = 20
SANDBOXES = 50
ECHOES = 10
# The first is over in a blink, and no two are alike.
SEQ_TURNS, LOOP_TURNS, FLUSHED_TURNS = 11, 3, 3
# 101 bytes each with their zeros.
WIDE_LINES = 1_000_000
BARE_SECONDS = 300

SEQ = {"kind": "command", "program": f"seq 1 {LINES}"}
LOOP = {"kind": "command", "program": f"for i in $(seq 1 {LINES}); do echo $i; done"}
FLUSHED = {"kind": "python", "program": programs.count(LINES)}
ECHO = {"kind": "command", "program": "echo hello"}


@contextmanager
def a_double():
    double = E2BDouble()
    try:
        yield double
    finally:
        double.close()


@contextmanager
def a_site_in_e2b(**environment: str):
    """(a site whose programs run in a double, the double), both warm."""
    with a_double() as double, a_site(**double.environment, **environment) as site:
        first_output(site, ECHO)
        yield site, double


def command_of(spec: dict) -> str:
    """What the bare SDK runs for it."""
    if spec["kind"] == "python":
        return f"exec python3 -u -c {shlex.quote(spec['program'])}"
    return spec["program"]


def bare(double: E2BDouble, command: str, *, count: int = 1, stamps: bool = False) -> list[dict]:
    """What bare.py finds."""
    job = {"command": command, "count": count, "stamps": stamps}
    done = subprocess.run(
        [*ended_with_us(), sys.executable, "-m", "tests.benchmarks.bare"],
        cwd=ROOT, env=double.environ(), input=json.dumps(job), timeout=BARE_SECONDS,
        capture_output=True, text=True,
    )  # fmt: skip
    if not done.stdout:
        raise Failed(f"the bare SDK failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


# --- throughput -------------------------------------------------------------------


def our_seconds(site: Site, spec: dict) -> dict[str, float]:
    options = {"launch": {"timeout": 0, **spec}, "finding": "count", "lines": LINES}
    with Crowd(site, **options) as crowd:
        found = crowd.whole_findings()
    if not found["ended"]:
        raise Failed("the viewer never saw the end")
    return {
        "stream": (found["last_chunk_at"] - found["first_chunk_at"]) / 1e9,
        "whole": (found["ended_at"] - found["launched_at"]) / 1e9,
        "chunks": found["chunks"],
    }


def bare_seconds(double: E2BDouble, spec: dict) -> dict[str, float]:
    (found,) = bare(double, command_of(spec))
    if found["lines"] != LINES:
        raise Failed(f"the bare SDK saw {found['lines']} lines")
    return {
        "stream": (found["last_at"] - found["first_at"]) / 1e9,
        "whole": (found["ended_at"] - found["began_at"]) / 1e9,
        "chunks": found["calls"],
    }


def take_rate(name: str, spec: dict, turns: int):
    def take(quick: bool) -> dict[str, float]:
        ours: list[dict] = []
        theirs: list[dict] = []
        with a_site_in_e2b() as (site, double):
            our_seconds(site, spec)
            for _ in range(1 if quick else turns):
                theirs.append(bare_seconds(double, spec))
                ours.append(our_seconds(site, spec))

        def median(found: list[dict], what: str) -> float:
            return statistics.median(one[what] for one in found)

        return {
            f"{name}_rate": LINES / median(ours, "stream"),
            f"{name}_bare": LINES / median(theirs, "stream"),
            f"{name}_share": 100 * median(theirs, "stream") / median(ours, "stream"),
            f"{name}_whole": median(ours, "whole") * 1000,
            f"{name}_bare_whole": median(theirs, "whole") * 1000,
            f"{name}_chunks": median(ours, "chunks"),
            f"{name}_bare_chunks": median(theirs, "chunks"),
        }

    return take


def rate_measure(name: str, text: str, spec: dict, turns: int) -> Measure:
    rows = (
        Row(f"{name}_share", f"{text}: of the bare SDK's rate", "%", 80, least=True),
        Row(f"{name}_rate", "  first to last chunk", "lines/s"),
        Row(f"{name}_bare", "  the bare SDK", "lines/s"),
        Row(f"{name}_whole", "  launch to the viewer's end", "ms"),
        Row(f"{name}_bare_whole", "  the bare SDK, create to end", "ms"),
    )
    return Measure(name, rows, take_rate(name, spec, turns))


def take_start(quick: bool) -> dict[str, float]:
    with a_site_in_e2b() as (site, double):
        ours, theirs = [], []
        for _ in range(ECHOES // (3 if quick else 1)):
            (found,) = bare(double, ECHO["program"])
            theirs.append((found["first_at"] - found["began_at"]) / 1e6)
            ours.append(first_output(site, ECHO))
        ours, theirs = statistics.median(ours), statistics.median(theirs)
        return {"e2b_start": ours, "e2b_start_bare": theirs, "e2b_start_added": ours - theirs}


# --- latency ----------------------------------------------------------------------


def our_delays(site: Site, count: int, rate: int, seconds: int) -> list[float]:
    """Of `count` runs at once, each watched, each in a sandbox of its own."""
    lines = rate * seconds
    program = programs.stamps(lines, rate, phase=count > 1)
    runs = [site.launch("python", program, stdin=True, timeout=0) for _ in range(count)]
    for run in runs:
        site.wait_until(run, lambda now: now["last_seq"] > 0)
    paths = [run["urls"]["websocket"] for run in runs]
    options = {"finding": "stamps", "lines": lines, "go": [programs.GO] * count}
    with Crowd(site, paths, **options) as crowd:
        crowd.join()
        crowd.go()
        found = crowd.whole_findings()
    if found["ended"] != count:
        raise Failed(f"{found['ended']} of {count} viewers saw the end")
    return found["delays"]


def bare_delays(double: E2BDouble, count: int, rate: int, seconds: int) -> list[float]:
    program = programs.stamps(rate * seconds, rate, phase=count > 1)
    command = command_of({"kind": "python", "program": program})
    found = [
        delay for one in bare(double, command, count=count, stamps=True) for delay in one["delays"]
    ]
    if len(found) != count * rate * seconds:
        raise Failed(f"the bare SDK saw {len(found)} stamps")
    return found


def take_delays(name: str, count: int, rate: int):
    def take(quick: bool) -> dict[str, float]:
        with a_site_in_e2b() as (site, double):
            theirs = bare_delays(double, count, rate, seconds_of(quick))
            ours = our_delays(site, count, rate, seconds_of(quick))
        values = {}
        for percent in (50, 99):
            our, their = percentile(ours, percent), percentile(theirs, percent)
            values |= {
                f"{name}_p{percent}": our,
                f"{name}_bare_p{percent}": their,
                f"{name}_added_p{percent}": our - their,
            }
        return values

    return take


# --- memory -----------------------------------------------------------------------


def take_growth(quick: bool) -> dict[str, float]:
    lines = WIDE_LINES // (10 if quick else 1)
    program = f"seq -f '%0{PADDED}.f' 1 {lines}"
    with a_site_in_e2b(**PATIENT) as (site, _):
        our_seconds(site, SEQ)
        before = most = settled(site)
        run = site.launch("command", f"sleep 1; {program}", timeout=0)
        paths = [run["urls"]["websocket"]]
        with Crowd(site, paths, finding="padded", lines=lines) as crowd:

            def over(now: dict) -> bool:
                nonlocal most
                most = max(most, site.resident())
                return now["finished_at"] is not None

            site.wait_until(run, over, seconds=300)
            most = max(most, site.resident())
            found = crowd.whole_findings()
        return {
            "e2b_growth": (most - before) / 1e6,
            "e2b_growth_left": (settled(site) - before) / 1e6,
            "e2b_wide_rate": (PADDED + 1) * lines * 1e3
            / (found["last_chunk_at"] - found["first_chunk_at"]),
        }  # fmt: skip


MEASURES = [
    rate_measure("e2b_seq", f"seq 1 {LINES}", SEQ, SEQ_TURNS),
    rate_measure("e2b_loop", f"a bash loop of {LINES:,} lines", LOOP, LOOP_TURNS),
    rate_measure("e2b_flushed", f"python -u, {LINES:,} flushed lines", FLUSHED, FLUSHED_TURNS),
    Measure(
        "e2b_start",
        (
            Row("e2b_start", "POST to first output of echo", "ms"),
            Row("e2b_start_bare", "  the bare SDK, create to first output", "ms"),
            Row("e2b_start_added", "  added: python3 more, and the run's row", "ms"),
        ),
        take_start,
    ),
    Measure(
        "e2b_live",
        (
            Row("e2b_live_added_p50", f"added to a chunk, {RATE} chunks/s: p50", "ms", 2),
            Row("e2b_live_added_p99", "  p99", "ms", 8),
            Row("e2b_live_p50", "  print to frame: p50", "ms"),
            Row("e2b_live_p99", "  p99", "ms"),
            Row("e2b_live_bare_p50", "  the bare SDK, print to callback: p50", "ms"),
            Row("e2b_live_bare_p99", "  p99", "ms"),
        ),
        take_delays("e2b_live", 1, RATE),
    ),
    Measure(
        "e2b_many",
        (
            Row("e2b_many_p99", f"{SANDBOXES} at once, {WIDE_RATE} lines/s each: p99", "ms", 50),
            Row("e2b_many_p50", "  p50", "ms"),
            Row("e2b_many_bare_p99", "  the bare SDK: p99", "ms"),
            Row("e2b_many_bare_p50", "  p50", "ms"),
        ),
        take_delays("e2b_many", SANDBOXES, WIDE_RATE),
    ),
    Measure(
        "e2b_memory",
        (
            Row("e2b_growth", "100 MB through one run: the server grows by", "MB", 64),
            Row("e2b_growth_left", "  and keeps", "MB"),
        ),
        take_growth,
    ),
]
