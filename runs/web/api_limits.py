"""/api/limits: what you may use, and how much of it is used."""

import orjson
from django.http import HttpResponse
from ninja import Router

from ..models import Run, Standing, standings_of
from . import api_schema
from .api_runs import errors
from .errors import HEADERS

router = Router()


@router.get(
    "/limits",
    response={200: api_schema.Limits, **errors()},
    summary="Your limits, and how much of them is used",
    description="Hours and days are the last 60 minutes and 24 hours, counted by the minute. "
    "A launch beyond a limit is refused with 429, and Retry-After where waiting helps.",
)
def limits(request):
    found = [_limit(standing) for standing in standings_of(request.auth.user, Run.objects)]
    return HttpResponse(orjson.dumps({"limits": found}), headers=HEADERS)


def _limit(standing: Standing) -> dict:
    at = standing.room_at
    return {
        "name": standing.name,
        "limit": standing.most,
        "used": standing.used,
        "room_at": at and f"{at:%Y-%m-%dT%H:%M:%SZ}",
    }
