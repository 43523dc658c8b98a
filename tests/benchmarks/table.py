"""What is measured, what it must reach, and how the findings are shown."""

import json
import math
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `least`: the value must reach the limit, not stay under it."""

    name: str
    text: str
    unit: str
    limit: float | None = None
    least: bool = False

    def met(self, value: float) -> bool:
        if self.limit is None:
            return True
        return value >= self.limit if self.least else value <= self.limit

    @property
    def must(self) -> str:
        if self.limit is None:
            return ""
        return f"{'≥' if self.least else '≤'} {shown(self.limit)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Measure:
    """A function that takes some rows' values once: take(quick) -> {row name: value}.

    Names in its answer that belong to no row go to the JSON only. `slow` ones are
    left out of a quick run.
    """

    name: str
    rows: tuple[Row, ...]
    take: Callable[[bool], dict[str, float]]
    slow: bool = False


def shown(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


class Findings:
    """The values of every row, one per repetition, and what went wrong."""

    def __init__(self, measures: list[Measure]):
        self._measures = measures
        self.values: dict[str, list[float]] = {}
        self.errors: dict[str, list[str]] = {}
        self.load: list[float] = []

    def add(self, found: dict[str, float]) -> None:
        for name, value in found.items():
            self.values.setdefault(name, []).append(value)

    def fail(self, measure: Measure, error: Exception) -> None:
        self.errors.setdefault(measure.name, []).append(f"{type(error).__name__}: {error}")

    def note_load(self) -> None:
        self.load.append(os.getloadavg()[0])

    def verdict(self, row: Row, measure: Measure) -> str:
        if measure.name in self.errors:
            return "FAILED"
        values = self.values.get(row.name)
        if not values:
            return "-"
        if row.limit is None:
            return ""
        return "yes" if row.met(statistics.median(values)) else "NO"

    def table(self) -> str:
        lines = [("measure", "must reach", "median [min .. max]", "ok")]
        for measure in self._measures:
            for row in measure.rows:
                values, verdict = self.values.get(row.name), self.verdict(row, measure)
                lines.append((row.text, row.must, self._measured(row, values), verdict))
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        lines.insert(1, tuple("-" * width for width in widths))
        texts = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        ]
        for name, errors in self.errors.items():
            texts += [f"{name}: {error}" for error in errors]
        return "\n".join(text.rstrip() for text in texts)

    @staticmethod
    def _measured(row: Row, values: list[float] | None) -> str:
        if not values:
            return ""
        spread = f" [{shown(min(values))} .. {shown(max(values))}]" if len(values) > 1 else ""
        return f"{shown(statistics.median(values))} {row.unit}{spread}"

    def write(self, path: Path) -> None:
        rows = []
        known = set()
        for measure in self._measures:
            for row in measure.rows:
                known.add(row.name)
                values = self.values.get(row.name, [])
                rows.append(
                    {
                        "name": row.name,
                        "measure": row.text,
                        "unit": row.unit,
                        "must_reach": row.must or None,
                        "median": statistics.median(values) if values else None,
                        "values": values,
                        "ok": {"yes": True, "": None, "-": None}.get(
                            self.verdict(row, measure), False
                        ),
                    }
                )
        details = {name: values for name, values in self.values.items() if name not in known}
        whole = {
            "machine": machine(), "load": self.load, "rows": rows,
            "details": details, "errors": self.errors,
        }  # fmt: skip
        path.write_text(json.dumps(whole, indent=1) + "\n")


def machine() -> dict:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        **{name: version(name) for name in ("django", "channels", "daphne")},
    }


def percentile(values: list[float], percent: float) -> float:
    """Nearest rank: the smallest value that `percent` of all do not exceed."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
