"""Errors as JSON, in one shape for everything under /api/.

{"error": {"code": "not_found", "message": "…", "fields": {name: sentence}?}}
"""

from http import HTTPStatus

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import csrf, defaults

from ..models import LimitReached

STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "csrf": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "conflict": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid": 422,
    "quota": 429,
    "internal": 500,
    "not_configured": 503,
    "unavailable": 503,
}
HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
NO_SUCH_LINK = (
    "This link opens nothing: it has expired, was revoked, or is not complete. "
    "Ask whoever sent it for a new one."
)
NO_SUCH_RUN = "There is no such run, or it is not yours to see."


class WasDeleted(Http404):
    """What was there is deleted; the message is a sentence for those who may know it."""


class ApiError(Exception):
    """Ends a call with an error; `code` is one of STATUS."""

    def __init__(self, code: str, message: str, fields: dict[str, str] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


def error_body(code: str, message: str, fields: dict[str, str] | None = None) -> bytes:
    error = {"code": code, "message": message}
    return orjson.dumps({"error": error | {"fields": fields} if fields else error})


def error_headers(code: str) -> dict[str, str]:
    return HEADERS | {"WWW-Authenticate": "Bearer"} if code == "unauthorized" else HEADERS


def error_response(
    code: str,
    message: str,
    fields: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    return HttpResponse(
        error_body(code, message, fields),
        status=STATUS[code],
        headers=error_headers(code) | (headers or {}),
    )


def asgi_error(
    code: str,
    message: str,
    fields: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """(status, headers, body) for what answers outside Django's request cycle."""
    sent = asgi_headers(error_headers(code) | (headers or {}))
    return STATUS[code], sent, error_body(code, message, fields)


def retry_after(refused: LimitReached) -> dict[str, str]:
    """Where waiting helps, for how long."""
    return {"Retry-After": str(refused.retry_seconds)} if refused.retry_seconds else {}


def asgi_headers(headers: dict[str, str] = HEADERS) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


# --- what Django itself refuses ------------------------------------------------


def is_api(request: HttpRequest) -> bool:
    return request.path_info == "/api" or request.path_info.startswith("/api/")


def bad_request(request, exception):
    if not is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return error_response("too_large", too_large_message())
    return error_response(
        "bad_request", "The request could not be understood. Check its address, host and body."
    )


def forbidden(request, exception):
    if not is_api(request):
        return defaults.permission_denied(request, exception)
    return error_response("forbidden", "You may not do this.")


def not_found(request, exception=None):
    if not is_api(request):
        if isinstance(exception, WasDeleted):
            return render(request, "404.html", {"deletion": str(exception)}, status=404)
        return defaults.page_not_found(request, exception)
    return error_response(
        "not_found", "There is nothing at this address. /api/openapi.json lists what there is."
    )


def internal(request):
    if not is_api(request):
        return defaults.server_error(request)
    return error_response(
        "internal", "The server failed to answer. Try again; its log tells an administrator why."
    )


def csrf_failure(request, reason=""):
    if not is_api(request):
        return csrf.csrf_failure(request, reason=reason)
    return error_response("csrf", f"{reason} Reload the page and try again, or use an API token.")


def method_not_allowed(allowed: str) -> HttpResponse:
    return error_response(
        "method_not_allowed", f"This address takes {allowed} only.", headers={"Allow": allowed}
    )


def too_large_message() -> str:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return f"The request's body is too large; at most {limit:,} bytes are allowed."


def shaped(view):
    """Let a view answer HEAD like GET, and give its 405 our shape."""

    def answer(request, *args, **kwargs):
        if request.method == "HEAD":
            # The server sends the headers alone.
            request.method = "GET"
        response = view(request, *args, **kwargs)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = sorted(method.strip() for method in response["Allow"].split(","))
            return method_not_allowed(", ".join(allowed))
        return response

    answer.csrf_exempt = getattr(view, "csrf_exempt", False)
    return answer
