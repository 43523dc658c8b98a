"""How much goes through: whole logs from launch to the viewer's end, and the recorder alone."""

import json

from . import programs
from .crowd import Crowd
from .live import a_site, the_peer
from .servers import Failed
from .table import Measure, Row

SEQ_LINES = 1_000_000
FLUSHED_LINES = 100_000
# It would take minutes with all of them.
PEER_LINES = 5_000


def launched_and_watched(site, spec: dict, lines: int) -> dict:
    options = {"launch": {"timeout": 0, **spec}, "finding": "count", "lines": lines}
    with Crowd(site, **options) as crowd:
        found = crowd.whole_findings()
    if not found["ended"]:
        raise Failed("the viewer never saw the end")
    return found | {"seconds": (found["ended_at"] - found["launched_at"]) / 1e9}


def take_seq(quick: bool) -> dict[str, float]:
    with a_site() as site:
        spec = {"kind": "command", "program": f"seq 1 {SEQ_LINES}"}
        found = launched_and_watched(site, spec, SEQ_LINES)
        return {"seq_seconds": found["seconds"], "seq_server_cpu": site.cpu_seconds()}


def take_flushed(quick: bool) -> dict[str, float]:
    with a_site() as site:
        spec = {"kind": "python", "program": programs.count(FLUSHED_LINES)}
        found = launched_and_watched(site, spec, FLUSHED_LINES)
        return {"flushed_rate": FLUSHED_LINES / found["seconds"]}


def take_peer_flushed(quick: bool) -> dict[str, float]:
    go = json.dumps({"program": programs.count(PEER_LINES)})
    options = {"finding": "count", "lines": PEER_LINES, "go": [go], "idle_seconds": 15}
    with the_peer() as peer, Crowd(peer, ["/ws/"], **options) as crowd:
        crowd.join().go()
        found = crowd.findings()
        seconds = (found["last_at"] - found["went_at"]) / 1e9
        return {
            "peer_flushed_rate": (PEER_LINES - found["missing"]) / seconds,
            "peer_flushed_lost": found["missing"],
        }


def take_recorder(quick: bool) -> dict[str, float]:
    with a_site() as site:
        site.stop()
        said = site.manage("-m", "tests.benchmarks.recording")
        return {"recorder_rate": float(said)}


def take_trust(quick: bool) -> dict[str, float]:
    with a_site() as site:
        site.stop()
        return json.loads(site.manage("-m", "tests.benchmarks.trusting"))


MEASURES = [
    Measure(
        "trust",
        (
            Row("untrusted_rate", "drafting and recorder, no masks and no chain", "chunks/s"),
            Row("trusted_rate", "  with 50 secrets and the chain", "chunks/s"),
            Row("trust_cost", "  what they cost", "%", 15),
            Row("verify_rate", "verify a recording", "chunks/s", 200_000, least=True),
        ),
        take_trust,
        slow=True,
    ),
    Measure(
        "seq",
        (Row("seq_seconds", "seq 1 1000000: launch to the viewer's end", "s", 0.5),),
        take_seq,
    ),
    Measure(
        "flushed",
        (
            Row(
                "flushed_rate", "python -u, 100,000 flushed lines, launch to end",
                "lines/s", 150_000, least=True,
            ),
        ),
        take_flushed,
    ),
    Measure(
        "peer_flushed",
        (
            Row("peer_flushed_rate", f"  the textbook pattern, {PEER_LINES:,} lines", "lines/s"),
            Row("peer_flushed_lost", "  lines it lost", ""),
        ),
        take_peer_flushed,
    ),
    Measure(
        "recorder",
        (Row("recorder_rate", "recorder alone on SQLite", "chunks/s", 150_000, least=True),),
        take_recorder,
    ),
]  # fmt: skip
