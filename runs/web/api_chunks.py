"""GET /api/runs/{id}/chunks: pages of a log."""

import math
from collections.abc import Callable

import orjson
from django.http import HttpResponse
from ninja import Query, Router, Schema

from ..access import Action, address_of, note_once
from ..models import STREAM_CODES, Run
from ..streaming.reading import rows_after, rows_before, seq_at, seq_before_line
from ..streaming.wire import Row, chunk_json
from . import api_schema
from .api_input import SEQ_MAX, Seconds, Text, one_of, refuse_unknown, whole
from .deleted import no_such_run
from .errors import HEADERS, ApiError
from .identity import visible_run
from .replaying import note_replay

LIMIT_MAX = 5_000
EXAMINED_MAX = 50_000
SLICE = 1_000
# A page of large chunks ends early; `next` says where.
PAGE_BYTES = 8 * 1024**2
TASK_MAX = 32_767

router = Router()


class ChunkQuery(Schema):
    after: whole(0, SEQ_MAX) | None = None
    before: whole(0, SEQ_MAX) | None = None
    at: Seconds | None = None
    line: whole(1, SEQ_MAX) | None = None
    limit: whole(1, LIMIT_MAX) = 1_000
    stream: one_of(*STREAM_CODES) = []
    task: whole(0, TASK_MAX) | None = None
    q: Text | None = None


@router.get(
    "/runs/{run_id}/chunks",
    response={200: api_schema.ChunkPage, frozenset((400, 401, 404)): api_schema.Error},
    summary="A page of a run's log",
    description="From `after` a seq (0 is the beginning), the page that ends `before` a seq, or "
    "from the first chunk recorded `at` a second or later, or from the chunk in which `line` "
    "begins (counted from 1, over all streams). `stream`, `task` and `q` (a part of the text, in "
    "any case) narrow it; such a call examines at most 50,000 chunks.",
)
def chunks(request, run_id: str, query: Query[ChunkQuery]):
    refuse_unknown(request, ChunkQuery)
    # The run first: whatever it counts is then among the rows read after it.
    run = visible_run(request.auth.user, run_id)
    if run is None:
        raise ApiError("not_found", no_such_run(request.auth.user, run_id))
    refuse_conflict(query)
    keep, streams = _filter(query), _rare_streams(query)
    if query.before is not None:
        read = _backward(run, streams)
        items, examined, more = _collect(read, query.before, query.limit, keep)
        items.reverse()
        last_seq = run.last_seq
        more = more and bool(rows_before(run.pk, examined, 1))
    else:
        start = _start(run, query)
        read = _forward(run, streams)
        items, examined, more = _collect(read, start, query.limit, keep)
        more = more and bool(rows_after(run.pk, examined, 1))
        # A live run may have stored more since its row was read.
        last_seq = max(run.last_seq, examined if examined != start else 0)
    _note(request, run, items if keep is None else [])
    return _answer(items, last_seq, examined if more else None, run)


def _note(request, run: Run, items: list[bytes]) -> None:
    """That somebody read it: of a page, which reads on while it is played, what exactly."""
    if items and request.auth.token is None:
        note_replay(request, request.auth.user, run, _seq_of(items[0]), _seq_of(items[-1]))
    else:
        note_once(Action.READ, request.auth.user, address_of(request), run)


def _seq_of(item: bytes) -> int:
    # As chunk_json() begins.
    return int(item[len(b'{"seq":') : item.index(b",")])


def refuse_conflict(query: ChunkQuery) -> None:
    places = ("after", "before", "at", "line")
    given = [name for name in places if getattr(query, name) is not None]
    if len(given) > 1:
        message = f"Use only one of {' and '.join(given)}."
        raise ApiError("bad_request", message, {given[-1]: message})


def _start(run: Run, query: ChunkQuery) -> int:
    if query.line is not None:
        return seq_before_line(run, query.line)
    if query.at is None:
        return query.after or 0
    # Times are whole microseconds: the last chunk before `at`, so that the page
    # begins with the first one at `at` or later.
    earlier = math.ceil(query.at * 1e6) - 1
    return seq_at(run, earlier / 1e6) if earlier >= 0 else 0


def _forward(run: Run, streams: set[str]) -> Callable[[int, int], list[Row]]:
    return lambda seq, count: rows_after(run.pk, seq, count, streams=streams)


def _backward(run: Run, streams: set[str]) -> Callable[[int, int], list[Row]]:
    return lambda seq, count: rows_before(run.pk, seq, count, streams=streams)[::-1]


def _rare_streams(query: ChunkQuery) -> set[str]:
    """The streams asked for if they can be read without a look at all of stdout, else none."""
    return set() if "stdout" in query.stream else {STREAM_CODES[name] for name in query.stream}


def _filter(query: ChunkQuery) -> Callable[[Row], bool] | None:
    codes = {STREAM_CODES[name] for name in query.stream}
    words = query.q and query.q.casefold()
    if not (codes or words or query.task is not None):
        return None

    def keep(row: Row) -> bool:
        _, _, _, stream, task, text, _ = row
        return (
            (not codes or stream in codes)
            and (query.task is None or task == query.task)
            and (not words or words in text.casefold())
        )

    return keep


def _collect(read, seq: int, limit: int, keep) -> tuple[list[bytes], int, bool]:
    """(chunks as JSON, last seq examined, whether there may be more of them beyond it)."""
    items: list[bytes] = []
    size = examined = 0
    while True:
        count = SLICE if keep else min(SLICE, limit - len(items))
        rows = read(seq, count)
        for row in rows:
            seq = row[0]
            examined += 1
            if keep is None or keep(row):
                item = chunk_json(row)
                items.append(item)
                size += len(item)
            if len(items) == limit or size >= PAGE_BYTES or examined == EXAMINED_MAX:
                return items, seq, True
        # A short slice is no end: one holds only so many bytes.
        if not rows:
            return items, seq, False


def _answer(items: list[bytes], last_seq: int, after: int | None, run: Run) -> HttpResponse:
    # By hand: the chunks are JSON already, and a model would parse them again.
    follow_up = "null" if after is None else after
    tail = f'],"last_seq":{last_seq},"next":{follow_up},"status":"{run.status}"'
    why = b',"output_deleted":' + orjson.dumps(run.output_deleted) if run.output_deleted else b""
    body = b'{"items":[' + b",".join(items) + tail.encode() + why + b"}"
    return HttpResponse(body, headers=HEADERS)
