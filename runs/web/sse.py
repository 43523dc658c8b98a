"""Server-Sent Events: their framing, and the stream of one run.

Framing follows the WHATWG's "Server-sent events", section 9.2.5 and 9.2.6.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

import orjson
from django.conf import settings

from .. import logs, metrics
from ..models import Run
from ..streaming.database import read
from ..streaming.follow import Changed, Ended, Gone, Idle, Output, follow
from ..streaming.wire import Batch
from .deleted import no_such_run
from .errors import NO_SUCH_LINK, ApiError
from .exchange import Exchange
from .frames import end_of
from .guest import told_to
from .identity import Identity, identify_guest, visible_run
from .noting import Seen, watching
from .watching import BadCursor, Shared, first_to_end, parse_cursor, until_refused

HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
# Sent at once: the client knows that it is connected, and how soon to come back.
OPENING = b": connected\nretry: 1000\n\n"
PING = b": ping\n\n"


def message(event: str, data: str, id: str) -> bytes:
    """One event. `event` and `id` are ours: no line breaks; `data` is any text.

    Every line of the data becomes a field of its own, so that what a program prints
    can never be taken for a field. CR and CRLF come back as LF.
    """
    lines = normalised(data).replace("\n", "\ndata: ")
    return f"event: {event}\nid: {id}\ndata: {lines}\n\n".encode()


def comment(text: str) -> bytes:
    lines = normalised(text.rstrip("\r\n")).replace("\n", "\n: ")
    return f": {lines}\n\n".encode()


def normalised(text: str) -> str:
    """`text` with LF for every line end that SSE knows."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


async def stream(
    exchange: Exchange, identity: Identity, run_id: str, pieces: AsyncIterator[bytes]
) -> None:
    """Answer with `pieces` for as long as the client stays and may see the run."""

    async def send() -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                await exchange.write(piece)

    logs.RUN.set(run_id)
    await exchange.start(200, HEADERS)
    await exchange.write(OPENING)
    with metrics.SSE_VIEWERS.track_inprogress():
        await first_to_end(send(), exchange.gone(), until_refused(identity, run_id))
    await exchange.finish()


# --- /api/runs/{id}/events -----------------------------------------------------


async def events(exchange: Exchange, run_id: str) -> None:
    exchange.allow("GET", "HEAD")
    identity = await exchange.identify()
    run = await read(visible_run, identity.user, run_id)
    if run is None:
        raise ApiError("not_found", await read(no_such_run, identity.user, run_id))
    await _events(exchange, identity, run)


async def shared_events(exchange: Exchange, token: str) -> None:
    """The same for whoever holds a shared link."""
    exchange.allow("GET", "HEAD")
    identity = await read(identify_guest, token)
    if identity is None:
        raise ApiError("not_found", NO_SUCH_LINK)
    await _events(exchange, identity, identity.user.share.run)


async def _events(exchange: Exchange, identity: Identity, run: Run) -> None:
    cursor = exchange.header("last-event-id") or exchange.query().get("after", [""])[-1]
    if cursor == "end":
        await exchange.respond(204, [])  # which tells EventSource to stop
        return
    try:
        after = parse_cursor(cursor)
    except BadCursor as error:
        raise ApiError("bad_request", str(error), {"after": str(error)}) from None
    if exchange.method == "HEAD":
        await exchange.start(200, HEADERS)
        await exchange.finish()
        return
    with watching(identity.user, exchange.address, run, after, by="sse") as seen:
        pieces = _pieces(run.pk, after, seen, identity.user)
        await stream(exchange, identity, run.public_id, pieces)


async def _pieces(run_pk: int, after: int, seen: Seen, user) -> AsyncIterator[bytes]:
    async with aclosing(follow(run_pk, after, settings.PING_SECONDS)) as items:
        async for item in items:
            match item:
                case Output(batches):
                    for batch in batches:
                        yield _chunks(batch)
                        seen.seq = batch.last_seq
                case Changed(run):
                    yield b"event: status\ndata: %b\n\n" % told_to(user, run)
                case Idle():
                    yield PING
                case Ended(run):
                    yield message("end", orjson.dumps(end_of(run)).decode(), "end")
                case Gone():
                    return


def _encode(batch: Batch) -> bytes:
    # A program's own JSON may hold a bare CR as white space, which would end the line.
    lines: Iterable[tuple[int, bytes]] = batch.numbered()
    if b"\r" in batch.lines:
        lines = ((seq, line.replace(b"\r", b" ")) for seq, line in lines)
    return b"".join([b"event: chunk\nid: %d\ndata: %b\n\n" % item for item in lines])


_chunks = Shared(_encode)
