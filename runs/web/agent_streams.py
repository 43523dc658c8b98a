"""/api/stream/agent…: an agent run, launched and streamed, also for EventSource.

EventSource can only GET, so a POST first leaves the prompt here: /init checks and
stores it, the first GET of the session launches it, later ones attach to the run.
"""

import orjson
from django.db import transaction

from ..kinds import InvalidSpec, NotConfigured, Spec, check_configured, parse_spec
from ..models import AgentSession
from ..streaming.database import read, write
from .api_input import parse_object
from .errors import ApiError, asgi_headers
from .exchange import Exchange
from .identity import Identity, csrf_refusal
from .launch_streams import check_may_launch, checked_prompt, launch_run, resume, stream_run

BODY_BYTES = 1024 * 1024
NO_SUCH_SESSION = "There is no such session, or it has expired. Prepare it again."


async def launch(exchange: Exchange) -> None:
    identity, spec = await _asked(exchange)
    if event_id := exchange.header("last-event-id"):
        await resume(exchange, identity, "agent", event_id)
        return
    run = await write(launch_run, identity.user, spec, exchange.address)
    await stream_run(exchange, identity, "agent", run, after=0)


async def prepare(exchange: Exchange) -> None:
    identity, spec = await _asked(exchange)
    session = await write(AgentSession.objects.prepare, identity.user, spec.program)
    if session is None:
        raise ApiError("quota", "Too many prepared agent runs wait for you. Open some of them.")
    body = orjson.dumps({"sessionId": session.public_id})
    await exchange.respond(200, asgi_headers(), body)


async def attach(exchange: Exchange, session_id: str) -> None:
    exchange.allow("GET")
    identity = await exchange.identify()
    session = await read(_session, identity.user, session_id)
    if event_id := exchange.header("last-event-id"):
        await resume(exchange, identity, "agent", event_id)
        return
    if session.run is None:
        check_may_launch(exchange)
        spec = agent_spec(session.prompt)
        session = await write(_launched, identity.user, session_id, spec, exchange.address)
    await stream_run(exchange, identity, "agent", session.run, after=0)


async def _asked(exchange: Exchange) -> tuple[Identity, Spec]:
    """Who asks for what, checked. Raises ApiError."""
    exchange.allow("POST")
    identity = await exchange.identify()
    if refusal := csrf_refusal(exchange.scope):
        raise ApiError("csrf", refusal)
    if (exchange.header("content-type") or "").partition(";")[0].strip() != "application/json":
        raise ApiError("unsupported_media_type", "Send JSON, with Content-Type: application/json.")
    values = parse_object(await exchange.body(BODY_BYTES))
    return identity, agent_spec(checked_prompt(values.get("prompt")))


def agent_spec(prompt: str) -> Spec:
    try:
        spec = parse_spec({"kind": "agent", "program": prompt})
        check_configured(spec)
    except InvalidSpec as error:
        raise ApiError("invalid", str(error), {"prompt": str(error)}) from None
    except NotConfigured as error:
        raise ApiError("not_configured", str(error)) from None
    return spec


def _session(user, session_id: str) -> AgentSession:
    """The user's own session, waiting or launched. Raises ApiError."""
    own = AgentSession.objects.filter(owner=user.pk, public_id=session_id)
    # PostgreSQL refuses to look for a NUL.
    session = None if "\0" in session_id else own.select_related("run").first()
    if session is None:
        raise ApiError("not_found", NO_SUCH_SESSION)
    return session


@transaction.atomic
def _launched(user, session_id: str, spec: Spec, address: str) -> AgentSession:
    """The session with its run, which is launched if nobody else was first."""
    session = _session(user, session_id)
    if AgentSession.objects.take(session):
        run = launch_run(user, spec, address)
        AgentSession.objects.filter(pk=session.pk).update(run=run)
    session = _session(user, session_id)
    if session.run is None:
        raise ApiError("not_found", NO_SUCH_SESSION)  # too old to be launched
    return session
