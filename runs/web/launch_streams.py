"""/api/stream/…: one request that launches a recorded run and streams it as events.

The stream is only a view of the run. A client that leaves ends nothing, and one that
comes back with Last-Event-ID goes on where it was; it never launches a second run.
"""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import cache

import orjson
from django.conf import settings

from .. import examples
from ..access import note_launch
from ..execution import dispatch
from ..kinds import InvalidSpec, Spec, default_title, parse_spec
from ..models import Run
from ..streaming.database import read, write
from ..streaming.follow import Changed, Ended, Gone, Idle, Output, follow
from ..streaming.wire import run_dict
from . import sse
from .deleted import no_such_run
from .errors import ApiError
from .exchange import Exchange
from .frames import end_of
from .identity import Identity, check_origin, visible_run
from .launch_events import VIEWS, View
from .noting import Seen, watching

PROMPT_CHARS = 50_000

_EVENT_ID = re.compile(r"(?P<run_id>[A-Za-z0-9_-]{1,40}):(?P<cursor>\d{1,18}|end)", re.ASCII)


async def launch(exchange: Exchange, name: str) -> None:
    exchange.allow("GET")
    identity = await exchange.identify()
    if event_id := exchange.header("last-event-id"):
        await resume(exchange, identity, name, event_id)
        return
    check_may_launch(exchange)
    spec = _spec(name, exchange.query())
    run = await write(launch_run, identity.user, spec, exchange.address)
    await stream_run(exchange, identity, name, run, after=0)


def launch_run(user, spec: Spec, address: str) -> Run:
    run = dispatch.submit(user, spec)
    note_launch(run, user, address)
    return run


async def resume(exchange: Exchange, identity: Identity, name: str, event_id: str) -> None:
    known = _EVENT_ID.fullmatch(event_id)
    if known is None:
        raise ApiError("bad_request", "Last-Event-ID is none of this stream's ids.")
    run = await read(visible_run, identity.user, known["run_id"])
    if run is None:
        raise ApiError("not_found", await read(no_such_run, identity.user, known["run_id"]))
    if known["cursor"] == "end":
        await exchange.respond(204, [])  # which tells EventSource to stop
        return
    await stream_run(exchange, identity, name, run, after=int(known["cursor"]))


def check_may_launch(exchange: Exchange) -> None:
    """A GET that launches must come from a page of ours, not from an <img> elsewhere."""
    if exchange.has_token:
        return
    if "text/event-stream" not in (exchange.header("accept") or ""):
        raise ApiError("forbidden", "Open this with EventSource (Accept: text/event-stream).")
    site = exchange.header("sec-fetch-site")
    foreign = exchange.header("origin") is not None and not check_origin(exchange.scope)
    if site not in (None, "same-origin") or foreign:
        raise ApiError("forbidden", "Only pages of this site may launch this way.")


# --- what is launched ----------------------------------------------------------


@cache
def demonstration(name: str) -> str:
    """The program that runs where no other was given."""
    suffix = "sh" if name == "command" else "py"
    return (examples.HERE / f"demo-{name}.{suffix}").read_text()


def _spec(name: str, query: dict[str, list[str]]) -> Spec:
    given = {key: values[-1] for key, values in query.items()}
    parameter = {"command": "command", "python": "code"}.get(name)
    program = given.get(parameter) if parameter else None
    values = {
        "kind": "command" if name == "command" else "python",
        "program": demonstration(name) if program is None else program,
        "title": default_title(program) if program and program.strip() else f"Stream: {name}",
    }
    if name != "command":
        values["mode"] = "notebook" if name == "python" else "script"
    if name == "python" and (prompt := given.get("prompt", "")):
        # It titles the run and reaches the program as a value, never as source.
        values |= {"title": default_title(prompt), "plain_env": ["PROMPT"]}
        values["env"] = {"PROMPT": checked_prompt(prompt)}
    try:
        return parse_spec(values)
    except InvalidSpec as error:
        names = {"program": parameter or "program", "env": "prompt"}
        fields = {names.get(field, field): text for field, text in error.fields.items()}
        raise ApiError("invalid", str(error), fields) from None


def checked_prompt(value) -> str:
    if not isinstance(value, str) or not value.strip():
        sentence = "Give a prompt: a string that is not empty."
    elif len(value) > PROMPT_CHARS:
        sentence = f"The prompt is too long; at most {PROMPT_CHARS:,} characters are allowed."
    else:
        return value
    raise ApiError("invalid", sentence, {"prompt": sentence})


# --- the stream ----------------------------------------------------------------


async def stream_run(
    exchange: Exchange, identity: Identity, name: str, run: Run, after: int
) -> None:
    with watching(identity.user, exchange.address, run, after, by="sse") as seen:
        pieces = _pieces(run, after, VIEWS[name](), seen)
        await sse.stream(exchange, identity, run.public_id, pieces)


async def _pieces(run: Run, after: int, view: View, seen: Seen) -> AsyncIterator[bytes]:
    run_id = run.public_id
    # With the client's own cursor as id: were it 0 again, a connection that breaks
    # right after it would begin the log anew.
    first = {"id": run_id, "urls": run_dict(run)["urls"]}
    yield sse.message("run", _json(first), f"{run_id}:{after}")
    async with aclosing(follow(run.pk, after, settings.PING_SECONDS)) as items:
        async for item in items:
            match item:
                case Output(batches):
                    for batch in batches:
                        yield b"".join(view.events(run_id, batch))
                        seen.seq = batch.last_seq
                case Idle():
                    yield sse.PING
                case Ended(state):
                    end = end_of(state) | {"run": run_id}
                    yield sse.message("complete", _json(end), f"{run_id}:end")
                case Changed():
                    pass
                case Gone():
                    return


def _json(value) -> str:
    return orjson.dumps(value).decode()
