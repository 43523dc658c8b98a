"""A run's chunks as lines to draw, for the page that is sent before any script runs.

Plain text: static/runs/terminal.js, which draws them anew, knows colours and cursors too.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.utils.html import escape
from django.utils.safestring import mark_safe

from ..models import STREAM_NAMES
from ..streaming.wire import Row as StoredRow
from .results import Part, parts_of

LINE_LENGTH = 10_000

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\|$)"
    r"|[PX^_][^\x1b]*(?:\x1b\\|$)"
    r"|[ -/]*[0-~])"
)
# What would change how the text around it looks: shown as its number instead.
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PERCENTS = ("percent", "percentage", "progress")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(slots=True)
class Line:
    """One row of the log. `raw` is kept while its end has not come."""

    seq: int
    t: float
    number: int
    stream: str
    task: int
    raw: str = ""
    ended: bool = True
    event: dict | None = None
    parts: list[Part] = field(default_factory=list)

    @property
    def text(self) -> str:
        return clean(self.raw)

    @property
    def row(self) -> str | None:
        """The whole row as HTML if it is only text: thousands of them make a page, and a
        template takes three times as long for each."""
        if not self.ended or self.event is not None or self.parts:
            return None
        return mark_safe(
            f'<div class="row {self.stream}" data-seq="{self.seq}" data-t="{self.t}" '
            f'data-task="{self.task}"><span class="n">{self.place}</span>'
            f'<span class="t">{self.clock}</span>'
            f'<span class="text">{escape(self.text)}</span></div>'
        )

    @property
    def place(self) -> str:
        return f"{self.number:,}"

    @property
    def clock(self) -> str:
        return clock(self.t)


def clean(raw: str) -> str:
    """What a line looks like: no escape sequences, overwritten text gone."""
    cut = len(raw) - LINE_LENGTH
    text = raw[:LINE_LENGTH] if cut > 0 else raw
    # A carriage return begins the line again, as progress bars do.
    text = visible(_ESCAPES.sub("", text).rstrip("\r\n").rpartition("\r")[2])
    return f"{text} … {cut:,} more characters, all of them in the export" if cut > 0 else text


def visible(text: str) -> str:
    """The text without escape sequences; other characters that hide are shown."""
    text = _ESCAPES.sub("", text)
    text = _CONTROL.sub(lambda m: chr(0x2421 if m[0] == "\x7f" else 0x2400 + ord(m[0])), text)
    return _BIDI.sub(lambda m: f"‹U+{ord(m[0]):04X}›", text)


def clock(seconds: float) -> str:
    """0:00.412, 2:58.041, 1:02:58.041"""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 1000:02}.{rest % 1000:03}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def lines_of(rows: Iterable[StoredRow]) -> list[Line]:
    """Rows in seq order as lines; a line goes on where its stream and task left it."""
    lines: list[Line] = []
    unfinished: dict[tuple[str, int], Line] = {}
    for seq, t, number, code, task, text, data in rows:
        stream, seconds = STREAM_NAMES[code], t / 1e6
        if stream in ("event", "result", "error") and data is not None:
            lines.append(_block(Line(seq, seconds, number + 1, stream, task, text), data))
            continue
        for offset, piece in _pieces(text):
            line = unfinished.pop((stream, task), None)
            if line is None:
                line = Line(seq, seconds, number + 1 + offset, stream, task)
                lines.append(line)
            line.raw += piece
            line.ended = piece.endswith("\n")
            if not line.ended:
                unfinished[stream, task] = line
    return lines


def _block(line: Line, data: str) -> Line:
    parsed = json.loads(data)
    if line.stream == "event":
        line.event = event_view(parsed)
    else:
        line.parts = parts_of(line.stream, parsed, line.raw)
    return line


def _pieces(text: str) -> Iterable[tuple[int, str]]:
    """Cut after each newline, and nowhere else."""
    pieces = text.split("\n")
    last = pieces.pop()
    ended = [piece + "\n" for piece in pieces]
    return enumerate([*ended, last] if last else ended)


def event_view(event: dict) -> dict:
    """An event as a row shows it: {"type", "summary", "percent"}."""
    kind = event["type"] if isinstance(event.get("type"), str) else "stage"
    body = event.get("data") if isinstance(event.get("type"), str) else None
    if body is None:
        body = {name: value for name, value in event.items() if name not in ("type", "data")}
    percent = _percent(body)
    return {"type": clean(kind), "summary": clean(_summary(body, percent)), "percent": percent}


def _summary(body, percent: float | None) -> str:
    if not isinstance(body, dict):
        return _compact(body)
    # What a bar shows is not said again.
    shown = [name for name in _PERCENTS if percent is not None and body.get(name) == percent]
    return " · ".join(
        f"{name}: {_compact(value)}" for name, value in body.items() if name not in shown
    )


def _compact(value) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    elif isinstance(value, float):
        value = float(f"{value:.6g}")  # all digits are in the event itself
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _percent(body) -> float | None:
    if not isinstance(body, dict):
        return None
    for name in _PERCENTS:
        value = body.get(name)
        if _is_number(value) and 0 <= value <= 100:
            return value * 100 if 0 < value < 1 else value
    done, total = body.get("current"), body.get("total")
    if _is_number(done) and _is_number(total) and 0 <= done <= total and total > 0:
        return 100 * done / total
    return None


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
