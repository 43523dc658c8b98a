"""Exports over HTTP: a run's log as a file, streamed in constant memory."""

import random
import re
import time

from django.conf import settings

from .. import logs
from ..access import Action
from ..models import STREAM_CODES
from ..streaming.database import read
from ..streaming.exports import FORMATS, export, filename, proof
from .deleted import no_such_run
from .errors import ApiError
from .exchange import Exchange, Header
from .identity import Identity, renewed, visible_run
from .noting import note_soon

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class AccessLost(Exception):
    """The person may no longer see the run whose log they are downloading."""


async def download(exchange: Exchange, run_id: str, format: str) -> None:
    exchange.allow("GET", "HEAD")
    identity = await exchange.identify()
    run = await read(visible_run, identity.user, run_id)
    if run is None:
        raise ApiError("not_found", await read(no_such_run, identity.user, run_id))
    logs.RUN.set(run.public_id)
    if format not in FORMATS:
        raise ApiError("not_found", f"Unknown format. Use one of {', '.join(FORMATS)}.")
    selection = parse_selection(exchange.query())
    headers = _headers(filename(run, format), FORMATS[format].content_type)
    # Of formats that hold nothing but the log, too.
    headers += [(b"x-run-" + name.encode(), value.encode()) for name, value in proof(run).items()]
    if exchange.method == "GET":
        asked = {name: value for name, value in selection.items() if value}
        note_soon(Action.EXPORT, identity.user, exchange.address, run, format=format, **asked)
    await exchange.start(200, headers)
    if exchange.method == "GET":
        await _send(exchange, identity, run_id, export(run, format, **selection))
    await exchange.finish()


async def _send(exchange: Exchange, identity: Identity, run_id: str, pieces) -> None:
    look_at = _next_look()
    # Read and encoded on a thread of the readers, one page at a time; each waits
    # until the client has taken the one before it.
    while (piece := await read(next, pieces, None)) is not None:
        if piece:
            await exchange.write(piece)
        if time.monotonic() > look_at:
            look_at = _next_look()
            if not await read(_may_go_on, identity, run_id):
                raise AccessLost(f"The download of run {run_id} was broken off.")


def _next_look() -> float:
    return time.monotonic() + settings.VIEWER_RECHECK_SECONDS * random.uniform(0.7, 1)


def _may_go_on(identity: Identity, run_id: str) -> bool:
    now = renewed(identity)
    return now is not None and visible_run(now.user, run_id) is not None


def _headers(name: str, content_type: str) -> list[Header]:
    return [
        (b"content-type", content_type.encode()),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        # A page of ours must never run what a program printed.
        (b"content-security-policy", b"sandbox; default-src 'none'"),
    ]


def parse_selection(query: dict[str, list[str]]) -> dict:
    """from, to, stream and task as the arguments of export(). Raises ApiError."""
    errors: dict[str, str] = {}
    numbers = {}
    for name in ("from", "to", "task"):
        text = query.get(name, [""])[-1]
        if text and not _NUMBER.fullmatch(text):
            errors[name] = f"{name} must be a whole number from 0 up."
        elif text:
            numbers[name] = int(text)
    streams = [name for given in query.get("stream", []) for name in given.split(",") if name]
    if set(streams) - set(STREAM_CODES):
        errors["stream"] = f"Unknown stream. Use {', '.join(STREAM_CODES)}."
    if unknown := sorted(set(query) - {"from", "to", "stream", "task"}):
        # A misspelt filter would otherwise silently filter nothing.
        errors[unknown[0][:40]] = "Unknown parameter. Use from, to, stream and task."
    if errors:
        raise ApiError("bad_request", " ".join(errors.values()), errors)
    return {
        "first": numbers.get("from", 1),
        "last": numbers.get("to"),
        "task": numbers.get("task"),
        "streams": streams,
    }
