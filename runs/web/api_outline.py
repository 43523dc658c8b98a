"""GET /api/runs/{id}/outline and /marks: where in a run something happened."""

import orjson
from django.http import HttpResponse
from ninja import Query, Router, Schema

from ..streaming.marks import marks_after
from ..streaming.outline import outline as outline_of
from . import api_schema
from .api_input import SEQ_MAX, refuse_unknown, whole
from .api_runs import read_log
from .errors import HEADERS

router = Router()


class OutlineQuery(Schema):
    buckets: whole(1, 1_000) = 200


class MarkQuery(Schema):
    after: whole(0, SEQ_MAX) = 0
    limit: whole(1, 1_000) = 500


@router.get(
    "/runs/{run_id}/outline",
    response={200: api_schema.Outline, frozenset((400, 401, 404)): api_schema.Error},
    summary="How much a run printed when",
    description="Lines and chunks in so many `buckets` of equal length, from its start to its "
    "end or to now. A run that has not started has none.",
)
def outline(request, run_id: str, query: Query[OutlineQuery]):
    refuse_unknown(request, OutlineQuery)
    return answer(outline_of(read_log(request, run_id), query.buckets))


@router.get(
    "/runs/{run_id}/marks",
    response={200: api_schema.MarkPage, frozenset((400, 401, 404)): api_schema.Error},
    summary="What stands out in a run",
    description="Stages, progress, tool calls, results, errors, and the remarks of streamsite "
    "(`gap`). A stage is a mark when its status changes, progress when it passes a tenth.",
)
def marks(request, run_id: str, query: Query[MarkQuery]):
    refuse_unknown(request, MarkQuery)
    found, following = marks_after(read_log(request, run_id).pk, query.after, query.limit)
    return answer({"items": [mark._asdict() for mark in found], "next": following})


def answer(value: dict) -> HttpResponse:
    return HttpResponse(orjson.dumps(value), headers=HEADERS)
