"""Two runs beside each other: what they were, how they ended, what they printed."""

import time
from collections.abc import Iterator
from itertools import pairwise

from ..models import Run
from .alignment import Block, Steps, blocks
from .outputs import Lines, Output, Place, output_of, texts
from .wire import run_dict

CONTEXT = 3
# Lines that are shown in all, and of one difference.
MOST_SHOWN = 1_000
MOST_OF_ONE = 100
SECONDS = 30.0

FIELDS = (
    "status", "exit_code", "exit_codes", "duration", "error", "lines", "kind", "mode", "language",
    "title", "owner", "cwd", "stdin", "timeout", "env", "plain_env", "secrets", "sandbox",
    "started_at", "masked",
)  # fmt: skip
# Shown even where they are the same.
ALWAYS = ("status", "exit_code", "duration", "lines")
# They differ whenever a run is launched again.
UNTOLD = ("started_at",)
STREAMS = ("stdout", "stderr", "result", "error")


class Expired(Exception):
    """The time for a comparison is over."""


def compare(a: Run, b: Run, exact: bool = False, seconds: float = SECONDS) -> dict:
    """What differs between two runs; shapes in web/api_compare.py. Called in a thread (ORM).

    Ends after about so many seconds, with what was found by then. `exact`: times and
    whatever else volatile.py knows count, too.
    """
    began = time.monotonic()
    # Most of it goes into reading: what is left is enough to say what was found.
    sides = [
        output_of(run, exact, _until(began + seconds * part * 0.4))
        for part, run in enumerate((a, b), start=1)
    ]
    told = [run_dict(run) for run in (a, b)]
    outputs = list(_outputs((a, b), sides, began + seconds))
    fields = [_field(name, *told) for name in FIELDS]
    return {
        "a": told[0],
        "b": told[1],
        "exact": exact,
        "same": not any(o["removed"] or o["added"] for o in outputs)
        and not any(o["cut"] for o in outputs)
        and all(f["same"] for f in fields if f["name"] in ("status", "exit_code", "exit_codes")),
        "fields": fields,
        "program": _program(a, b),
        "outputs": outputs,
        "events": _events(*sides),
        "notes": list(_notes((a, b), sides, outputs)),
    }


def _until(moment: float):
    return lambda: time.monotonic() < moment


def _field(name: str, a: dict, b: dict) -> dict:
    same = a[name] == b[name] or name in UNTOLD
    return {"name": name, "a": a[name], "b": b[name], "same": same}


def _events(a: Output, b: Output) -> list[dict]:
    kinds = sorted({*a.events, *b.events})[:200]
    return [{"type": kind, "a": a.events[kind], "b": b.events[kind]} for kind in kinds]


# --- output --------------------------------------------------------------------


def _outputs(runs, sides: list[Output], end: float) -> Iterator[dict]:
    places = {*sides[0].places, *sides[1].places}
    left = MOST_SHOWN
    for place in sorted(places, key=lambda place: (place[0], STREAMS.index(place[1]))):
        pair = [side.places.get(place) or Lines(exact=True) for side in sides]
        if not all(side.complete for side in sides):
            # Where one was not read to its end the other's rest says nothing.
            shortest = min(map(len, pair))
            for lines in pair:
                lines.cut(shortest)
        output = _output(runs, place, pair, left, end)
        left -= sum(len(hunk["lines"]) for hunk in output["hunks"])
        yield output


def _output(runs, place: Place, pair: list[Lines], most: int, end: float) -> dict:
    def check():
        if time.monotonic() > end:
            raise Expired

    steps = Steps(check=check)
    matched, found, cut = 0, _Hunks(len(pair[0]), len(pair[1]), most), ""
    try:
        for block in blocks(pair[0].hashes, pair[1].hashes, steps):
            matched += block[2]
            found.take(block)
        found.end()
        if steps.left <= 0:
            cut = "So much differs that some lines count as replaced which may only have moved."
    except Expired:
        cut = "Comparing took too long and was ended: behind what is shown nothing is compared."
    hunks = []
    for part in found.hunks:
        if time.monotonic() > end:
            cut = cut or "Reading the differences took too long: not all of them are shown."
            break
        hunks.append(_hunk(runs, place, pair, part))
    return {
        "task": place[0],
        "stream": place[1],
        "lines": {"a": len(pair[0]), "b": len(pair[1])},
        "same": matched,
        "removed": len(pair[0]) - matched,
        "added": len(pair[1]) - matched,
        "hunks": hunks,
        "more": found.unseen + len(found.hunks) - len(hunks),
        "cut": cut or None,
    }


class _Hunks:
    """Differences with a few lines around them, as many as are shown."""

    def __init__(self, lines_a: int, lines_b: int, most: int):
        self.hunks: list[list[Block]] = []  # of each the gaps (i1, i2, j1, j2) in it
        self.unseen = 0
        self._end = lines_a, lines_b
        self._at = 0, 0
        self._left = most

    def take(self, block: Block) -> None:
        i, j, n = block
        (a, b), self._at = self._at, (i + n, j + n)
        if (i, j) == (a, b):
            return
        near = self.hunks and not self.unseen and a - self.hunks[-1][-1][1] <= 2 * CONTEXT
        if not near:
            self.unseen += self._left <= 0
            if self.unseen:
                return
            self.hunks.append([])
        self.hunks[-1].append((a, i, b, j))
        self._left -= min(i - a, MOST_OF_ONE) + min(j - b, MOST_OF_ONE) + 2 * CONTEXT

    def end(self) -> None:
        self.take((*self._end, 0))


def _hunk(runs, place: Place, pair: list[Lines], gaps: list) -> dict:
    """One hunk with its texts: lines that are the same as they are in b."""
    lines: list[dict] = []
    first_b = max(0, gaps[0][2] - min(CONTEXT, gaps[0][0]))
    first_a = gaps[0][0] - (gaps[0][2] - first_b)
    known = texts(runs[0], place, pair[0], first_a, gaps[0][0] - first_a)
    _same(lines, runs, place, pair, first_a, first_b, len(known))
    for gap, following in pairwise([*gaps, None]):
        a1, a2, b1, b2 = gap
        _changed(lines, "removed", "a", runs[0], place, pair[0], a1, a2)
        _changed(lines, "added", "b", runs[1], place, pair[1], b1, b2)
        upto = following[0] if following else min(a2 + CONTEXT, len(pair[0]))
        count = min(upto - a2, len(pair[1]) - b2)
        _same(lines, runs, place, pair, a2, b2, count)
    return {"a": first_a + 1, "b": first_b + 1, "lines": lines}


def _same(lines, runs, place, pair, a: int, b: int, count: int) -> None:
    if count <= 0:
        return
    of_a = texts(runs[0], place, pair[0], a, count)
    of_b = texts(runs[1], place, pair[1], b, count)
    for (number_a, _), (number_b, text) in zip(of_a, of_b, strict=False):
        lines.append({"kind": "same", "a": number_a, "b": number_b, "text": text})


def _changed(lines, kind, side, run, place, column, first: int, end: int) -> None:
    other = "b" if side == "a" else "a"
    for number, text in texts(run, place, column, first, min(end - first, MOST_OF_ONE)):
        lines.append({"kind": kind, side: number, other: None, "text": text})
    if (more := end - first - MOST_OF_ONE) > 0:
        text = f"{more:,} more lines"
        lines.append({"kind": f"{kind}_more", "a": None, "b": None, "text": text})


# --- what was run --------------------------------------------------------------


def _program(a: Run, b: Run) -> list[dict]:
    """Lines of the programs, with what was removed and added; [] if they are the same."""
    if a.program == b.program:
        return []
    old, new = (_program_lines(run) for run in (a, b))
    hashes = [[hash(line) for line in lines] for lines in (old, new)]
    lines, at_a, at_b = [], 0, 0
    for i, j, n in [*blocks(*hashes, Steps(most=1_000_000)), (len(old), len(new), 0)]:
        lines += [_line("removed", text) for text in old[at_a:i]]
        lines += [_line("added", text) for text in new[at_b:j]]
        lines += [_line("same", text) for text in new[j : j + n]]
        at_a, at_b = i + n, j + n
    if len(lines) <= MOST_SHOWN:
        return lines
    more = _line("same", f"{len(lines) - MOST_SHOWN:,} more lines: see the runs' own pages")
    return [*lines[:MOST_SHOWN], more]


def _program_lines(run: Run) -> list[str]:
    if isinstance(run.program, str):
        return run.program.split("\n")
    return [
        line
        for number, text in enumerate(run.program, 1)
        for line in (f"# Task {number}", *text.split("\n"))
    ]


def _line(kind: str, text: str) -> dict:
    return {"kind": kind, "text": text[:2_000]}


# --- what has to be said -------------------------------------------------------


def _notes(runs, sides, outputs) -> Iterator[str]:
    for name, run, side in zip("AB", runs, sides, strict=True):
        if not run.is_final:
            yield f"{name} still goes on: compared is what it had printed."
        if run.output_deleted:
            yield f"{name}'s output was deleted."
        if run.dropped:
            yield (
                f"The middle of {name}'s output was dropped ({run.dropped['bytes']:,} bytes): "
                "compared is what is kept."
            )
        if not side.complete:
            yield f"{name} printed more than is compared at once: its beginning was compared."
    yield from dict.fromkeys(output["cut"] for output in outputs if output["cut"])
