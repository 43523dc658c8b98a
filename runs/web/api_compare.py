"""GET /api/runs/{id}/compare/{other}: what differs between two runs."""

from typing import Any, Literal

import orjson
from django.http import HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from . import api_schema
from .api_input import refuse_unknown, whole
from .api_runs import errors, see
from .compared import Busy, compared
from .errors import HEADERS, error_response

router = Router()


class CompareQuery(Schema):
    exact: whole(0, 1) = 0


class ComparedField(Schema):
    name: str
    a: Any
    b: Any
    same: bool


class ComparedLine(Schema):
    kind: Literal["same", "removed", "added", "removed_more", "added_more"]
    a: int | None = Field(description="The line's number in run a, as in the page's #L.")
    b: int | None
    text: str = Field(description="As it was printed, at most 2,000 characters of it.")


class Hunk(Schema):
    a: int = Field(description="Its first line, counted in this task's stream.")
    b: int
    lines: list[ComparedLine]


class Lines(Schema):
    a: int
    b: int


class ComparedOutput(Schema):
    task: int
    stream: Literal["stdout", "stderr", "result", "error"]
    lines: Lines
    same: int
    removed: int
    added: int
    hunks: list[Hunk]
    more: int = Field(description="How many hunks are not listed.")
    cut: str | None = Field(description="Why not everything was compared.")


class ComparedEvents(Schema):
    type: str
    a: int
    b: int


class ProgramLine(Schema):
    kind: Literal["same", "removed", "added"]
    text: str


class Comparison(Schema):
    a: api_schema.Run
    b: api_schema.Run
    exact: bool
    same: bool = Field(description="Both ended alike and printed the same.")
    fields: list[ComparedField]
    program: list[ProgramLine] = Field(description="Empty if the programs are the same.")
    outputs: list[ComparedOutput]
    events: list[ComparedEvents]
    notes: list[str]


@router.get(
    "/runs/{run_id}/compare/{other_id}",
    response={200: Comparison, **errors(400, 404, 503)},
    summary="What differs between two runs",
    description="Line by line for each task's streams, times and other volatile parts set aside "
    "unless `exact=1`. A call takes 30 s at most and says in `notes` and `cut` what it left out.",
)
def compare_runs(request, run_id: str, other_id: str, query: Query[CompareQuery]):
    refuse_unknown(request, CompareQuery)
    a, b = see(request, run_id), see(request, other_id)
    try:
        found = compared(request, request.auth.user, a, b, bool(query.exact))
    except Busy as busy:
        return error_response("unavailable", str(busy), headers={"Retry-After": "5"})
    return HttpResponse(orjson.dumps(found), headers=HEADERS)
