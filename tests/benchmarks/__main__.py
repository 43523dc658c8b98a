"""Measure the whole system: `python -m tests.benchmarks [--e2b | --browser | --scale]
[--only NAME,NAME]`.

Real server processes with fresh data directories, real SQLite files, real sockets
from another process. Prints a table; exits with 1 if a number was not reached.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from . import browser, e2b, floods, launches, live, logs, memory, scale
from .servers import Failed
from .table import Findings, Measure, machine

ROOMS = (live, floods, launches, logs, memory)
SYSTEM = [measure for room in ROOMS for measure in room.MEASURES]
SECTIONS = {"e2b": e2b.MEASURES, "browser": browser.MEASURES, "scale": scale.MEASURES}
MEASURES = [*SYSTEM, *(measure for section in SECTIONS.values() for measure in section)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = ", ".join(measure.name for measure in MEASURES)
    parser.add_argument("--only", metavar="NAME[,NAME]", help=f"of {names}")
    section = parser.add_mutually_exclusive_group()
    section.add_argument("--e2b", action="store_true", help="programs in E2B, against a double")
    section.add_argument("--browser", action="store_true", help="the run's page in Chromium")
    section.add_argument(
        "--scale", action="store_true", help="web processes and workers, PostgreSQL and Redis"
    )
    parser.add_argument("--repeat", type=int, default=3, help="medians of so many (3)")
    parser.add_argument("--quick", action="store_true", help="once, shorter, without the slow ones")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    unknown = set(chosen_names(options)) - {measure.name for measure in MEASURES}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}. There are {names}.")
    return options


def chosen_names(options) -> list[str]:
    return options.only.split(",") if options.only else []


def chosen(options) -> list[Measure]:
    names = chosen_names(options)
    if names:
        return [measure for measure in MEASURES if measure.name in names]
    asked = (measures for name, measures in SECTIONS.items() if getattr(options, name))
    section = next(asked, SYSTEM)
    return [measure for measure in section if not (options.quick and measure.slow)]


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse()
    measures = chosen(options)
    findings = Findings(measures)
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    # A whole round after the other, so that ours and the peer's are taken side by side.
    for number in range(1 if options.quick else options.repeat):
        for measure in measures:
            findings.note_load()
            began = time.monotonic()
            try:
                findings.add(measure.take(options.quick))
            except (Failed, OSError) as error:
                findings.fail(measure, error)
            took = time.monotonic() - began
            print(f"round {number + 1}: {measure.name} took {took:.1f} s", file=sys.stderr)
    print(findings.table())
    if doublings := scale.growth(findings.values):
        print(doublings)
    print(f"load average {min(findings.load):.1f} to {max(findings.load):.1f}")
    if options.json:
        findings.write(options.json)
    met = {findings.verdict(row, measure) for measure in measures for row in measure.rows}
    return 1 if met & {"NO", "FAILED"} else 0


if __name__ == "__main__":
    sys.exit(main())
