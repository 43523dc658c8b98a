"""The WebSocket of a run: hello, chunks, status, ping, end; cancel and stdin.

Plain ASGI applications: a viewer costs two or three small tasks, no thread, no
database connection and no channel of the channel layer.
"""

import asyncio
import logging
from contextlib import aclosing

import orjson
from django.conf import settings
from django.core.exceptions import RequestAborted

from .. import logs, metrics
from ..access import Action
from ..execution import dispatch
from ..models import Run
from ..streaming.database import read, write
from ..streaming.follow import Changed, Ended, Gone, Idle, Output, follow
from . import frames
from .errors import ApiError
from .exchange import address_in, parse_query
from .guest import told_to
from .identity import (
    Identity,
    Unauthorized,
    check_origin,
    identify,
    identify_guest,
    renewed,
    visible_run,
)
from .noting import Seen, note_soon, watching
from .watching import BadCursor, first_to_end, parse_cursor, until_refused

log = logging.getLogger(__name__)

CLOSE_END = 1000
CLOSE_FAILED = 1011
CLOSE_BAD_CURSOR = 4400
CLOSE_LOGGED_OUT = 4401
CLOSE_NO_SUCH_RUN = 4404

MESSAGE_CHARS = 256 * 1024


class Refused(Exception):
    """The socket is to be closed with `code`."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


async def accept(scope: dict, receive, send) -> Identity:
    """Accept a socket and say who opened it. Raises Refused.

    Accepted first: a browser does not tell its page why a handshake was refused.
    """
    await receive()
    await send({"type": "websocket.accept"})
    if not check_origin(scope):
        # Another site's page rides on our cookie. It counts as no login.
        raise Refused(CLOSE_LOGGED_OUT)
    try:
        return await read(identify, scope["headers"])
    except Unauthorized:
        raise Refused(CLOSE_LOGGED_OUT) from None


async def close(send, code: int) -> None:
    await send({"type": "websocket.close", "code": code})


async def no_such_socket(scope: dict, receive, send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await close(send, CLOSE_NO_SUCH_RUN)


async def watch_run(scope: dict, receive, send, run_id: str) -> None:
    try:
        identity = await accept(scope, receive, send)
        after = _cursor(scope)
        run = await read(visible_run, identity.user, run_id)
        if run is None:
            raise Refused(CLOSE_NO_SUCH_RUN)
    except Refused as refused:
        await close(send, refused.code)
        return
    await _watch(scope, receive, send, identity, run, after)


async def watch_shared(scope: dict, receive, send, token: str) -> None:
    """The same for whoever holds a shared link. The link alone counts, no cookie, so
    where the page comes from is not looked at."""
    await receive()
    await send({"type": "websocket.accept"})
    identity = await read(identify_guest, token)
    if identity is None:
        await close(send, CLOSE_NO_SUCH_RUN)
        return
    try:
        after = _cursor(scope)
    except Refused as refused:
        await close(send, refused.code)
        return
    await _watch(scope, receive, send, identity, identity.user.share.run, after)


async def _watch(scope, receive, send, identity: Identity, run: Run, after: int) -> None:
    logs.RUN.set(run.public_id)
    viewer = Viewer(identity, run, send, address_in(scope))
    noted = watching(identity.user, address_in(scope), run, after)
    with metrics.SOCKET_VIEWERS.track_inprogress(), noted as viewer.seen:
        code = await first_to_end(
            viewer.show(after),
            viewer.obey(receive),
            close_code_when_refused(identity, run.public_id),
        )
    if code is not None:
        await close(send, code)


def _cursor(scope: dict) -> int:
    try:
        given = parse_query(scope["query_string"]).get("after", [""])
        return parse_cursor(given[-1])
    except (ApiError, BadCursor):
        raise Refused(CLOSE_BAD_CURSOR) from None


async def close_code_when_refused(identity: Identity, run_id: str | None = None) -> int:
    refusal = await until_refused(identity, run_id)
    return CLOSE_LOGGED_OUT if refusal == 401 else CLOSE_NO_SUCH_RUN


class Viewer:
    """One open socket of one run."""

    def __init__(self, identity: Identity, run: Run, send, address: str):
        self._address = address
        self.seen = Seen(0)
        self._identity = identity
        self._run = run
        self._send = send
        self._greeted = asyncio.Event()

    async def _text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    # --- to the client ---------------------------------------------------------

    async def show(self, after: int) -> int:
        """Send the run until its end; the code to close with."""
        try:
            async with aclosing(follow(self._run.pk, after, settings.PING_SECONDS)) as items:
                return await self._pump(items)
        except RequestAborted:
            raise  # the client has gone
        except Exception:
            log.exception("Showing run %s failed", self._run.public_id)
            return CLOSE_FAILED

    async def _pump(self, items) -> int:
        greet = frames.hello
        async for item in items:
            match item:
                case Output(batches):
                    for frame in frames.chunks(batches):
                        await self._text(frame)
                    self.seen.seq = batches[-1].last_seq
                case Changed(run):
                    await self._text(greet(told_to(self._identity.user, run)))
                    greet = frames.status
                    self._greeted.set()
                case Idle():
                    await self._text(frames.PING)
                case Ended(run):
                    await self._text(frames.end(run))
                    return CLOSE_END
                case Gone():
                    return CLOSE_NO_SUCH_RUN
        raise RuntimeError("follow() ended without saying why")

    # --- from the client -------------------------------------------------------

    async def obey(self, receive) -> None:
        """Do what the client asks, one message after the other, until it leaves.

        The next message is taken when this one is done: a flood of them waits in
        the client, since the server stops reading. The first one waits for the hello.
        """
        await self._greeted.wait()
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                await self._obey(message.get("text"))
            except ApiError as error:
                await self._text(frames.error(error.code, error.message))
            except RequestAborted:
                raise
            except Exception:
                log.exception("A message to run %s failed", self._run.public_id)
                sentence = "That could not be done. Try again."
                await self._text(frames.error("internal", sentence))

    async def _obey(self, text: str | None) -> None:
        message = _parse(text)
        match message.get("type"):
            case "cancel":
                await self._check_may_act()
                await self._cancel()
            case "stdin":
                await self._check_may_act()
                await self._write_stdin(message)
            case _:
                raise ApiError("bad_request", "Unknown type. Send cancel or stdin.")

    async def _check_may_act(self) -> None:
        now = await read(renewed, self._identity)
        if now is None:
            raise ApiError("unauthorized", "Log in again.")
        if not self._run.may_be_changed_by(now.user):
            raise ApiError("forbidden", "Only the owner of this run may do that.")

    async def _cancel(self) -> None:
        if not await write(dispatch.cancel, self._run):
            raise ApiError("conflict", "This run has ended already.")
        note_soon(Action.CANCEL, self._identity.user, self._address, self._run)

    async def _write_stdin(self, message: dict) -> None:
        task, text = message.get("task", 0), message.get("text")
        eof = message.get("eof", False)
        if type(task) is not int or not isinstance(text, str | None) or type(eof) is not bool:
            raise ApiError("bad_request", "task is a number, text a string, eof true or false.")
        if text is None and not eof:
            raise ApiError("bad_request", "Send text, or eof: true to end the input.")
        try:
            if text:
                await dispatch.send_stdin(self._run, task, text)
            if eof:
                await dispatch.send_stdin(self._run, task, None)
        except dispatch.NotAccepted as refusal:
            raise ApiError("conflict", str(refusal)) from None


def _parse(text: str | None) -> dict:
    if text is None:
        raise ApiError("bad_request", "Send text frames that hold JSON.")
    if len(text) > MESSAGE_CHARS:
        raise ApiError("too_large", f"A message has at most {MESSAGE_CHARS:,} characters.")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise ApiError("bad_request", 'Send a JSON object such as {"type": "cancel"}.')
    return message
