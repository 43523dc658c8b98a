"""The JSON API: its calls, who may make them, and how they fail."""

import logging

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest
from ninja import NinjaAPI
from ninja.errors import ValidationError

from ..kinds import InvalidSpec, NotConfigured
from ..models import LimitReached
from ..streaming.needles import BadNeedle
from . import (
    api_chunks,
    api_compare,
    api_limits,
    api_outline,
    api_runs,
    api_schema,
    api_search,
    api_shares,
)
from .api_input import QueryParser
from .errors import (
    ApiError,
    error_response,
    method_not_allowed,
    not_found,
    retry_after,
    too_large_message,
)
from .identity import Identity, Unauthorized, csrf_refusal_of, identify_request

log = logging.getLogger(__name__)

DESCRIPTION = """Launch programs in sandboxes, watch them live, replay and export their logs.

Send an API token as `Authorization: Bearer …`. Pages of this site use their session
instead, with the header `X-CSRFToken` on calls that change something. Errors look alike
everywhere: `{"error": {"code", "message", "fields"?}}`. Live output is also at the
WebSocket `/ws/runs/{run_id}/?after=SEQ`, and the list of runs at `/ws/runs/`."""

SECURITY = {
    "token": {"type": "http", "scheme": "bearer"},
    "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
}


def authenticate(request: HttpRequest) -> Identity:
    if guest := getattr(request, "guest", None):
        return guest  # set by web/shared.py, for a call that a shared link opens
    identity = identify_request(request)
    if identity.token is None and (reason := csrf_refusal_of(request)):
        raise ApiError("csrf", reason)
    return identity


def for_people(view):
    """Guards the document and its page as the calls are guarded."""

    def guarded(request, **kwargs):
        if request.method not in ("GET", "HEAD"):
            return method_not_allowed("GET")
        try:
            authenticate(request)
        except Unauthorized as error:
            return error_response("unauthorized", str(error))
        return view(request, **kwargs)

    # A refusal is a 405 in our shape, not Django's page about forged requests.
    guarded.csrf_exempt = True
    return guarded


class Api(NinjaAPI):
    def get_openapi_operation_id(self, operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **kwargs) -> dict:
        document = super().get_openapi_schema(**kwargs)
        document["paths"].update(api_schema.extra_paths())
        document["components"]["securitySchemes"] = SECURITY
        document["security"] = [{name: []} for name in SECURITY]
        return document


api = Api(
    title="streamsite",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    docs_decorator=for_people,
    parser=QueryParser(),
    auth=authenticate,
)
api.add_router("", api_runs.router)
api.add_router("", api_chunks.router)
api.add_router("", api_outline.router)
api.add_router("", api_search.router)
api.add_router("", api_limits.router)
api.add_router("", api_shares.router)
api.add_router("", api_compare.router)


# --- how calls fail ------------------------------------------------------------


@api.exception_handler(ApiError)
def api_error(request, error):
    return error_response(error.code, error.message, error.fields)


@api.exception_handler(Unauthorized)
def unauthorized(request, error):
    return error_response("unauthorized", str(error))


@api.exception_handler(InvalidSpec)
def invalid_spec(request, error):
    return error_response("invalid", str(error), error.fields)


@api.exception_handler(LimitReached)
def limit_reached(request, error):
    return error_response("quota", str(error), headers=retry_after(error))


@api.exception_handler(BadNeedle)
def bad_needle(request, error):
    return error_response("bad_request", str(error), {"q": str(error)})


@api.exception_handler(NotConfigured)
def not_configured(request, error):
    return error_response("not_configured", str(error))


@api.exception_handler(ValidationError)
def invalid_query(request, error):
    fields = {}
    for item in error.errors:
        fields[str(item["loc"][-1])] = item["msg"].removeprefix("Value error, ")
    message = " ".join(f"{name}: {sentence}" for name, sentence in fields.items())
    return error_response("bad_request", message, fields)


@api.exception_handler(RequestDataTooBig)
def too_large(request, error):
    return error_response("too_large", too_large_message())


@api.exception_handler(Http404)
def unknown(request, error):
    return not_found(request, error)


@api.exception_handler(OperationalError)
def database_failed(request, error):
    log.exception(
        "The database failed at %s %s", request.method, request.path, extra={"request": request}
    )
    return error_response(
        "unavailable",
        "The database did not answer. Try again in a moment.",
        headers={"Retry-After": "2"},
    )


@api.exception_handler(Exception)
def unexpected(request, error):
    raise error
