"""/api/runs: launch, list, look, cancel, run again, delete."""

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema

from ..execution import dispatch
from ..fields import Unreadable
from ..kinds import KINDS, Spec, check_configured, parse_spec
from ..models import Run, Status
from ..streaming.deletion import delete_run
from ..streaming.wire import run_json
from . import api_schema
from .api_input import (
    Cursor,
    Moment,
    Text,
    make_cursor,
    one_of,
    read_json,
    refuse_unknown,
    whole,
)
from .errors import HEADERS, NO_SUCH_RUN, ApiError
from .identity import visible_run
from .search import matching

# A page of runs with large programs ends early; `next` says where.
PAGE_BYTES = 8 * 1024**2

router = Router()


def answer(run: Run, status: int = 200, **headers: str) -> HttpResponse:
    return HttpResponse(run_json(run), status=status, headers=HEADERS | headers)


def errors(*statuses: int) -> dict:
    return {frozenset((401, *statuses)): api_schema.Error}


def see(request: HttpRequest, run_id: str) -> Run:
    """The run, if the caller may see it."""
    run = visible_run(request.auth.user, run_id)
    if run is None:
        raise ApiError("not_found", NO_SUCH_RUN)
    return run


def act_on(request: HttpRequest, run_id: str) -> Run:
    """The run, if the caller may change it."""
    run = see(request, run_id)
    if not run.may_be_changed_by(request.auth.user):
        raise ApiError("forbidden", "You may see this run but not change it. Ask its owner.")
    return run


# --- launch --------------------------------------------------------------------


@router.post(
    "/runs",
    response={201: api_schema.Run, **errors(400, 403, 413, 415, 422, 503)},
    summary="Launch a run",
    openapi_extra=api_schema.body(api_schema.Launch),
)
def launch(request):
    return _submitted(request.auth.user, parse_spec(read_json(request)))


@router.post(
    "/runs/{run_id}/rerun",
    response={201: api_schema.Run, **errors(400, 403, 404, 409, 415, 422, 503)},
    summary="Launch a run's program again",
    openapi_extra=api_schema.body(api_schema.Rerun, required=False),
)
def rerun(request, run_id: str):
    run = act_on(request, run_id)
    sent = read_json(request, optional=True)
    if unknown := sorted(set(sent) - {"env"}):
        message = "Unknown field. A re-run takes only env."
        raise ApiError("invalid", message, {unknown[0][:80]: message})
    # Checked as it was sent before it is mixed with what is kept.
    env = parse_spec(run.respec() | {"env": sent.get("env")}).env
    return _submitted(request.auth.user, parse_spec(run.respec(kept_env(run, env))), run)


def kept_env(run: Run, sent: dict[str, str]) -> dict[str, str]:
    """The run's environment with what was sent on top. Raises ApiError if values are gone."""
    try:
        env = run.environment() | sent
    except Unreadable:
        env = sent
    if missing := [name for name in run.env_names if name not in env]:
        gone = dict.fromkeys(missing, "Send this value again, in env.")
        message = (
            f"The environment values {', '.join(missing)} are no longer kept. "
            'Send them again as {"env": {name: value}}.'
        )
        raise ApiError("conflict", message, gone)
    return env


def _submitted(user, spec: Spec, rerun_of: Run | None = None) -> HttpResponse:
    check_configured(spec)
    run = dispatch.submit(user, spec, rerun_of)
    return answer(run, 201, Location=f"/api/runs/{run.public_id}")


# --- look ----------------------------------------------------------------------


class RunQuery(Schema):
    status: one_of(*Status.values) = []
    kind: one_of(*KINDS) = []
    owner: Text | None = None
    q: Text | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: whole(1, 200) = 50
    cursor: Cursor | None = None


@router.get(
    "/runs",
    response={200: api_schema.RunPage, **errors(400)},
    summary="The runs you may see, newest first",
    description="`q` looks into title, program and last line; `created_after` includes its "
    "moment, `created_before` does not.",
)
def runs(request, query: Query[RunQuery]):
    refuse_unknown(request, RunQuery)
    found = _matching(request.auth.user, query).order_by("-pk")
    items, size, last = [], 0, 0
    # One more than asked for tells whether there is a next page.
    for run in found[: query.limit + 1].iterator(chunk_size=50):
        if len(items) == query.limit or size > PAGE_BYTES:
            return _page(items, make_cursor(last))
        item = run_json(run)
        items.append(item)
        size += len(item)
        last = run.pk
    return _page(items, None)


def _matching(user, query: RunQuery):
    found = Run.objects.visible_to(user)
    if query.cursor is not None:
        found = found.filter(pk__lt=query.cursor)
    return matching(found, **query.model_dump(exclude={"limit", "cursor"}))


def _page(items: list[bytes], cursor: str | None) -> HttpResponse:
    body = b'{"items":[' + b",".join(items) + b'],"next":' + orjson.dumps(cursor) + b"}"
    return HttpResponse(body, headers=HEADERS)


@router.get("/runs/{run_id}", response={200: api_schema.Run, **errors(404)}, summary="One run")
def run(request, run_id: str):
    return answer(see(request, run_id))


# --- act -----------------------------------------------------------------------


@router.post(
    "/runs/{run_id}/cancel",
    response={202: api_schema.Run, **errors(403, 404, 409)},
    summary="Ask for a run's end",
)
def cancel(request, run_id: str):
    run = act_on(request, run_id)
    if not dispatch.cancel(run):
        raise ApiError("conflict", "This run has already ended. There is nothing to cancel.")
    run.refresh_from_db()
    return answer(run, 202)


@router.delete(
    "/runs/{run_id}",
    response={204: None, **errors(403, 404, 409)},
    summary="Delete an ended run and its log",
)
def delete(request, run_id: str):
    run = act_on(request, run_id)
    if not run.is_final:
        raise ApiError("conflict", "This run is still active. Cancel it, then delete it.")
    delete_run(run)
    return HttpResponse(status=204)
