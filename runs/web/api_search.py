"""Search in what runs printed: GET /api/runs/{id}/search and /api/search."""

import orjson
from django.http import HttpResponse
from ninja import Query, Router, Schema

from ..kinds import KINDS
from ..models import STREAM_CODES, Run, Status
from ..streaming.searching import search_after, search_before
from ..streaming.wire import run_json
from . import api_schema
from .api_input import SEQ_MAX, Moment, Text, one_of, refuse_unknown, whole
from .api_runs import read_log
from .errors import HEADERS, ApiError
from .search import Found, matching, search_for, search_output

TASK_MAX = 32_767
# How long one search over runs looks for more; the caller then asks again.
SECONDS = 0.2

router = Router()


class LineQuery(Schema):
    q: Text = ""
    case: whole(0, 1) = 0
    regex: whole(0, 1) = 0
    stream: one_of(*STREAM_CODES) = []
    task: whole(0, TASK_MAX) | None = None

    def search(self):
        return search_for(self.q, bool(self.case), bool(self.regex), self.stream, self.task)


class RunSearchQuery(LineQuery):
    after: whole(0, SEQ_MAX) | None = None
    before: whole(0, SEQ_MAX) | None = None
    limit: whole(1, 1_000) = 200


class SearchQuery(LineQuery):
    status: one_of(*Status.values) = []
    kind: one_of(*KINDS) = []
    owner: Text | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: whole(1, 100) = 20
    cursor: Text = ""


@router.get(
    "/runs/{run_id}/search",
    response={200: api_schema.HitPage, frozenset((400, 401, 404)): api_schema.Error},
    summary="Lines of a run that hold something",
    description="`q` in any case, with `case=1` exactly as it is; with `regex=1` it is a regular "
    "expression as RE2 has them. Searched are lines as they are seen, without escape sequences, "
    "however they were cut into chunks. From `after` a seq on, or back from `before` one, in the "
    "order in which lines end; a call ends after `limit` lines or about a tenth of a second. A "
    "line that goes on later may come again.",
)
def search_run(request, run_id: str, query: Query[RunSearchQuery]):
    refuse_unknown(request, RunSearchQuery)
    run = read_log(request, run_id)
    if query.before is not None and query.after is not None:
        message = "Use only one of after and before."
        raise ApiError("bad_request", message, {"before": message})
    if query.before is not None:
        page = search_before(run.pk, query.before, query.search(), query.limit)
    else:
        page = search_after(run.pk, query.after or 0, query.search(), query.limit)
    items = [hit.json() for hit in page.hits]
    return _answer(orjson.dumps({"items": items, "next": page.next, "examined": page.examined}))


@router.get(
    "/search",
    response={200: api_schema.FoundPage, frozenset((400, 401)): api_schema.Error},
    summary="Runs that printed something, newest first",
    description="Of the runs you may see; the filters are those of the list of runs, `q` and what "
    "goes with it those of the search in one run. A call ends after `limit` runs or a moment, so "
    "items may be empty with `next` set.",
)
def search_runs(request, query: Query[SearchQuery]):
    refuse_unknown(request, SearchQuery)
    filters = query.model_dump(include={"status", "kind", "owner"})
    dates = query.model_dump(include={"created_after", "created_before"})
    runs = matching(Run.objects.visible_to(request.auth.user), **filters, **dates)
    try:
        found, cursor, examined = search_output(
            runs, query.search(), query.limit, SECONDS, query.cursor
        )
    except ValueError as error:
        raise ApiError("bad_request", str(error), {"cursor": str(error)}) from None
    page = {"items": [_found(one) for one in found], "next": cursor or None}
    return _answer(orjson.dumps(page | {"examined": examined}))


def _found(found: Found) -> dict:
    hits = [hit.json() for hit in found.hits]
    return {"run": orjson.Fragment(run_json(found.run)), "hits": hits, "more": found.more}


def _answer(body: bytes) -> HttpResponse:
    return HttpResponse(body, headers=HEADERS)
