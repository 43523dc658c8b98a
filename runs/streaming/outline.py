"""How a run's output lies over its time, found without reading it."""

from dataclasses import dataclass

from ..models import Run
from .reading import last_where, place_after
from .wire import duration


@dataclass(frozen=True, slots=True)
class Edge:
    """Behind a moment: the last seq before it, and how many newlines there are up to that."""

    seq: int
    lines: int


def outline(run: Run, buckets: int) -> dict:
    """{"seconds", "lines", "last_seq", "buckets": [{"t", "lines", "chunks"}]}.

    Buckets of equal length cover the run from its start to its end, or to now; none
    before it starts, nor when its output is deleted. What the output cap dropped is
    counted where it was.
    """
    end = Edge(run.last_seq, run.line_count)
    seconds = duration(run) or 0.0
    if run.output_deleted:
        return {"seconds": seconds, "lines": end.lines, "last_seq": end.seq, "buckets": []}
    if last := place_after(run.pk, max(0, run.last_seq - 1), run.last_seq):
        # A program may print for a moment after its end was noted.
        seconds = max(seconds, last.t / 1e6)
    items = []
    if seconds:
        starts = [seconds * n / buckets for n in range(buckets)]
        edges = [Edge(0, 0), *_edges(run.pk, starts[1:], Edge(0, 0), end), end]
        for start, edge, following in zip(starts, edges, edges[1:], strict=False):
            counts = {"lines": following.lines - edge.lines, "chunks": following.seq - edge.seq}
            items.append({"t": round(start, 6), **counts})
    return {"seconds": seconds, "lines": end.lines, "last_seq": end.seq, "buckets": items}


def _edges(run_pk: int, moments: list[float], low: Edge, high: Edge) -> list[Edge]:
    """The edge at each moment; all lie between `low` and `high`."""
    if not moments or low.seq == high.seq:
        return [low] * len(moments)
    # The middle one first: it halves what the others have to search.
    middle = len(moments) // 2
    edge = _edge(run_pk, moments[middle], low, high)
    before = _edges(run_pk, moments[:middle], low, edge)
    return [*before, edge, *_edges(run_pk, moments[middle + 1 :], edge, high)]


def _edge(run_pk: int, seconds: float, low: Edge, high: Edge) -> Edge:
    t = round(seconds * 1e6)
    place = last_where(run_pk, low.seq, high.seq, lambda place: place.t < t)
    if place is None:
        return low
    behind = place_after(run_pk, place.seq, high.seq)
    return Edge(place.seq, behind.line if behind else high.lines)
