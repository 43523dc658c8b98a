"""Who is asking: one rule for the API, the streams and the sockets.

A Bearer token if an Authorization header is there, else the session's cookie. Shared
links are asked for by what answers at their addresses, and by nothing else.
The functions that read the database are synchronous and run in a thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from io import BytesIO
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import OperationalError
from django.http import HttpRequest
from django.http.cookie import parse_cookie
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from ..access import Action, note_once
from ..models import ApiToken, Run, Share
from .guest import Guest

Headers = Iterable[tuple[bytes, bytes]]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
NOTE_USE_EVERY = timedelta(minutes=1)
LOG_IN = "Log in, or send an API token as `Authorization: Bearer …`."
DEFAULT_PORTS = {"http": 80, "https": 443}


class Unauthorized(Exception):
    """Nobody we know is asking; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, and by what we know them: a token, a session or a shared link."""

    user: object
    token: ApiToken | None = None
    session_key: str | None = None


def identify(headers: Headers) -> Identity:
    """Who sent these ASGI headers. Reads the database. Raises Unauthorized."""
    headers = list(headers)
    return _identify(_values(headers, b"authorization"), "; ".join(_values(headers, b"cookie")))


def identify_request(request: HttpRequest) -> Identity:
    """The same rule for a Django request."""
    sent = request.META.get("HTTP_AUTHORIZATION")
    return _identify([] if sent is None else [sent], request.META.get("HTTP_COOKIE", ""))


def identify_guest(token: str) -> Identity | None:
    """Whoever holds a shared link; None if it opens nothing (any more)."""
    share = Share.objects.of_token(token)
    return share and Identity(Guest(share))


def renewed(identity: Identity) -> Identity | None:
    """The identity read again, with the user as they are now; None if it no longer holds.

    Open streams ask now and then, and look with the new user whether they may go on.
    """
    if isinstance(identity.user, Guest):
        return Identity(Guest(Share.objects.renewed(identity.user.share)))
    try:
        if identity.token is None:
            return _by_session(identity.session_key)
    except Unauthorized:
        return None
    held = ApiToken.objects.filter(
        pk=identity.token.pk, revoked_at=None, user__is_active=True
    ).select_related("user")
    token = held.first()
    return token and Identity(token.user, token=token)


def visible_run(user, public_id: str) -> Run | None:
    if isinstance(user, Guest):
        return user.run(public_id)
    if "\0" in public_id:
        return None  # PostgreSQL refuses to look for it
    return Run.objects.visible_to(user).filter(public_id=public_id).first()


# --- what browsers send along unasked ------------------------------------------


def check_origin(scope: dict) -> bool:
    """Whether a WebSocket handshake comes from our own pages.

    With a cookie, Origin must be ours in scheme, host and port. With an
    Authorization header it is not looked at: a foreign page cannot send one.
    """
    headers = list(scope["headers"])
    if _values(headers, b"authorization"):
        return True
    origins = _values(headers, b"origin")
    try:
        return len(origins) == 1 and _address(origins[0]) == _address(own_origin(scope))
    except (DisallowedHost, ValueError):
        return False


def own_origin(scope: dict) -> str:
    """scheme://host[:port] this connection was addressed to. Raises DisallowedHost."""
    request = _request(scope)
    return f"{request.scheme}://{request.get_host()}"


def csrf_refusal(scope: dict, body: bytes = b"") -> str | None:
    """Why a request must be refused as forged; None if it may pass.

    For ASGI consumers. The token is looked for in the X-CSRFToken header, and in
    `body` if that is a form.
    """
    if _values(scope["headers"], b"authorization"):
        return None
    return csrf_refusal_of(_request(scope, body))


def csrf_refusal_of(request: HttpRequest) -> str | None:
    """The same for a Django request that came with a session."""
    if request.method in SAFE_METHODS:
        return None
    check = _CsrfCheck(lambda request: None)
    request.csrf_processing_done = False
    try:
        check.process_request(request)
        return check.process_view(request, None, (), {})
    except DisallowedHost:
        return "The Host header is not one of this server's names."


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request, reason):
        return f"{reason} Reload the page and try again, or use an API token."


def _request(scope: dict, body: bytes = b"") -> ASGIRequest:
    secure = scope.get("scheme") in ("wss", "https")
    http = {
        "method": "GET",
        **scope,
        "type": "http",
        "scheme": "https" if secure else "http",
        "query_string": b"",
    }
    if not body:
        # Else Django would look for a form where none was handed in.
        http["headers"] = [item for item in scope["headers"] if item[0] != b"content-type"]
    return ASGIRequest(http, BytesIO(body))


def _address(origin: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


# --- the rule ------------------------------------------------------------------


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin1") for key, value in headers if key.lower() == name]


def _identify(authorization: list[str], cookie: str) -> Identity:
    if authorization:
        return _by_token(authorization)
    key = parse_cookie(cookie).get(settings.SESSION_COOKIE_NAME)
    if not key:
        raise Unauthorized(LOG_IN)
    return _by_session(key)


def _by_token(authorization: list[str]) -> Identity:
    scheme, _, secret = authorization[0].partition(" ")
    if len(authorization) > 1 or scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized("The Authorization header must be `Bearer` and one API token.")
    token = ApiToken.objects.usable(secret.strip())
    if token is None:
        raise Unauthorized("This API token is unknown or revoked. Make a new one on your page.")
    _note_use(token)
    return Identity(token.user, token=token)


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at and now - token.last_used_at < NOTE_USE_EVERY:
        return
    try:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    except OperationalError:
        # A full disk or a busy writer must not keep anybody from reading.
        return
    token.last_used_at = now
    note_once(Action.TOKEN_USED, token.user, subject=str(token))


def _by_session(key: str) -> Identity:
    # Django's get_user() without its writes: a stream cannot send the new cookie
    # that cycling a key or flushing a session would need.
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    backend = session.get(auth.BACKEND_SESSION_KEY)
    user = None
    if backend in settings.AUTHENTICATION_BACKENDS:
        model = auth.get_user_model()
        user_pk = model._meta.pk.to_python(session[auth.SESSION_KEY])
        user = auth.load_backend(backend).get_user(user_pk)
    if user is None or not user.is_active or not _fits(user, session):
        raise Unauthorized(LOG_IN)
    return Identity(user, session_key=key)


def _fits(user, session) -> bool:
    """Whether the session is from after the user's last change of password."""
    sent = session.get(auth.HASH_SESSION_KEY) or ""
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(sent, value) for value in hashes)
