"""/api/runs: launch, list, look, cancel, run again, delete."""

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema

from ..access import AccessEvent, Action, address_of, note, note_launch, note_once
from ..execution import dispatch
from ..fields import Unreadable
from ..kinds import KINDS, Spec, check_configured, parse_spec
from ..models import Run, Status
from ..streaming.deletion import Refused
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
from .deleted import delete_for, no_such_run
from .errors import HEADERS, ApiError
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
        raise ApiError("not_found", no_such_run(request.auth.user, run_id))
    return run


def read_log(request: HttpRequest, run_id: str) -> Run:
    """The run, if the caller may see it; that they read its output is noted."""
    run = see(request, run_id)
    note_once(Action.READ, request.auth.user, address_of(request), run)
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
    response={201: api_schema.Run, **errors(400, 403, 413, 415, 422, 429, 503)},
    summary="Launch a run",
    openapi_extra=api_schema.body(api_schema.Launch),
)
def launch(request):
    return _submitted(request, parse_spec(read_json(request)))


@router.post(
    "/runs/{run_id}/rerun",
    response={201: api_schema.Run, **errors(400, 403, 404, 409, 415, 422, 429, 503)},
    summary="Launch a run's program again",
    openapi_extra=api_schema.body(api_schema.Rerun, required=False),
)
def rerun(request, run_id: str):
    run = act_on(request, run_id)
    sent = read_json(request, optional=True)
    if unknown := sorted(set(sent) - {"env", "plain_env"}):
        message = "Unknown field. A re-run takes only env and plain_env."
        raise ApiError("invalid", message, {unknown[0][:80]: message})
    # Checked as it was sent before it is mixed with what is kept.
    env, plain = sent.get("env"), sent.get("plain_env")
    if isinstance(env, dict) and isinstance(plain, list | None):
        # What was plain stays so with another value.
        plain = [*(plain or []), *(name for name in run.env_plain if name in env)]
    given = parse_spec(run.respec() | {"env": env, "plain_env": plain, "secrets": None})
    again = run.respec(kept_env(run, given.env))
    again["plain_env"] = [*{*again["plain_env"], *given.plain_env}]
    return _submitted(request, parse_spec(again), run)


def kept_env(run: Run, sent: dict[str, str]) -> dict[str, str]:
    """What was typed for the run, with what was sent on top. Raises ApiError if values are gone."""
    try:
        kept = run.secret_environment()
    except Unreadable:
        kept = {}
    env = {name: kept[name] for name in run.env_typed if name in kept} | sent
    if missing := [name for name in run.env_typed if name not in env]:
        gone = dict.fromkeys(missing, "Send this value again, in env.")
        message = (
            f"The environment values {', '.join(missing)} are no longer kept. "
            'Send them again as {"env": {name: value}}.'
        )
        raise ApiError("conflict", message, gone)
    return env


def _submitted(request, spec: Spec, rerun_of: Run | None = None) -> HttpResponse:
    check_configured(spec)
    run = dispatch.submit(request.auth.user, spec, rerun_of)
    note_launch(run, request.auth.user, address_of(request))
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


class DeleteQuery(Schema):
    reason: Text | None = None


class AccessQuery(Schema):
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


@router.get(
    "/runs/{run_id}/access",
    response={200: api_schema.AccessPage, **errors(400, 404)},
    summary="Who has seen a run, and who did what to it, newest first",
)
def access(request, run_id: str, query: Query[AccessQuery]):
    refuse_unknown(request, AccessQuery)
    run = see(request, run_id)
    events = AccessEvent.objects.filter(run=run.public_id).order_by("-pk")
    if query.cursor is not None:
        events = events.filter(pk__lt=query.cursor)
    found = list(events[: query.limit + 1])
    items = [orjson.dumps(_event(event)) for event in found[: query.limit]]
    return _page(items, make_cursor(found[query.limit - 1].pk) if found[query.limit :] else None)


def _event(event: AccessEvent) -> dict:
    return {
        "at": event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "action": event.action,
        "actor": event.actor_name or None,
        "address": event.address or None,
        "detail": event.detail,
    }


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
    note(Action.CANCEL, request.auth.user, address_of(request), run)
    run.refresh_from_db()
    return answer(run, 202)


@router.delete(
    "/runs/{run_id}",
    response={204: None, **errors(403, 404, 409)},
    summary="Delete an ended run and its log",
    description="What stays is who deleted it, when and why: send a `reason`. A run under a legal "
    "hold is not deleted.",
)
def delete(request, run_id: str, query: Query[DeleteQuery]):
    refuse_unknown(request, DeleteQuery)
    run = act_on(request, run_id)
    try:
        delete_for(request.auth.user, run, address_of(request), query.reason)
    except Refused as refused:
        raise ApiError("conflict", str(refused)) from None
    return HttpResponse(status=204)
