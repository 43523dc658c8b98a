"""/api/runs/{id}/shares: links by which people without an account see a run."""

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from ..models import Share
from . import api_schema
from .api_input import read_json
from .api_runs import act_on, errors
from .errors import HEADERS, ApiError
from .sharing import CHOSEN_FIRST, Refused, make_share, most_seconds, number_in, revoke_share

router = Router()


class NewShare(Schema):
    seconds: int = Field(description="How long the link lives; 60 to what the server allows.")
    label: str = Field("", max_length=80, description="For whom it is; shown to you only.")


class ShareOut(Schema):
    id: int
    label: str
    url: str | None = Field(description="null when the link is over.")
    made_by: str
    created_at: str
    expires_at: str
    revoked_at: str | None
    used_at: str | None
    uses: int


class ShareList(Schema):
    items: list[ShareOut]


@router.post(
    "/runs/{run_id}/shares",
    response={201: ShareOut, **errors(400, 403, 404, 413, 415, 422)},
    summary="Make a read-only link to a run",
    description="Whoever has the link sees the run and what it prints, without an account, until "
    "it expires or is revoked. For the run's owner and superusers.",
    openapi_extra=api_schema.body(NewShare, required=False),
)
def share_run(request, run_id: str):
    run = act_on(request, run_id)
    sent = read_json(request, optional=True)
    if unknown := sorted(set(sent) - {"seconds", "label"}):
        message = "Unknown field. A link takes only seconds and label."
        raise ApiError("invalid", message, {unknown[0][:80]: message})
    seconds = sent.get("seconds", min(CHOSEN_FIRST, most_seconds()))
    try:
        made = make_share(request, request.auth.user, run, seconds, sent.get("label", ""))
    except Refused as refused:
        raise ApiError("invalid", str(refused), {refused.field: str(refused)}) from None
    return _answer(_share(request, made), 201)


@router.get(
    "/runs/{run_id}/shares",
    response={200: ShareList, **errors(403, 404)},
    summary="The links to a run that were made, newest first",
)
def shares_of_run(request, run_id: str):
    found = act_on(request, run_id).shares.select_related("run", "made_by").order_by("-pk")
    return _answer({"items": [_share(request, share) for share in found[:200]]})


@router.delete(
    "/runs/{run_id}/shares/{share_id}",
    response={204: None, **errors(403, 404)},
    summary="Revoke a link to a run",
)
def revoke_share_of_run(request, run_id: str, share_id: str):
    run = act_on(request, run_id)
    share = run.shares.filter(pk=number_in(share_id)).first()
    if share is None:
        raise ApiError("not_found", "This run has no such link. GET …/shares lists them.")
    revoke_share(request, request.auth.user, share)
    return HttpResponse(status=204)


def _share(request: HttpRequest, share: Share) -> dict:
    return {
        "id": share.pk,
        "label": share.label,
        "url": None if share.is_over else request.build_absolute_uri(share.path),
        "made_by": share.made_by_name,
        "created_at": share.created_at,
        "expires_at": share.expires_at,
        "revoked_at": share.revoked_at,
        "used_at": share.used_at,
        "uses": share.uses,
    }


def _answer(value: dict, status: int = 200) -> HttpResponse:
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return HttpResponse(body, status=status, headers=HEADERS)
