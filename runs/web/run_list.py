"""The WebSocket of the list of runs: the newest at once, then each that changes."""

import asyncio
import logging

from django.core.exceptions import RequestAborted

from .. import metrics
from ..models import Run
from ..streaming.database import read
from ..streaming.feed import feeds
from ..streaming.wire import run_json
from .consumers import CLOSE_FAILED, Refused, accept, close, close_code_when_refused
from .identity import Identity, renewed
from .watching import first_to_end

log = logging.getLogger(__name__)

NEWEST = 50


async def watch_runs(scope: dict, receive, send) -> None:
    try:
        identity = await accept(scope, receive, send)
    except Refused as refused:
        await close(send, refused.code)
        return
    with metrics.LIST_VIEWERS.track_inprogress():
        code = await first_to_end(
            _show(identity, send), _until_left(receive, send), close_code_when_refused(identity)
        )
    if code is not None:
        await close(send, code)


async def _show(identity: Identity, send) -> int:
    try:
        # Subscribed before the first read: what changes in between is told twice
        # and never missed.
        async with feeds.changed_runs() as changed:
            await _text(send, await read(_newest, identity.user))
            while True:
                for frame in await read(_changed, identity, await _gathered(changed)):
                    await _text(send, frame)
    except RequestAborted:
        raise  # the client has gone
    except Exception:
        log.exception("Showing the list of runs failed")
        return CLOSE_FAILED


async def _until_left(receive, send) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        refusal = '{"type":"error","code":"bad_request","message":"This socket only tells."}'
        await _text(send, refusal)


async def _text(send, text: str) -> None:
    await send({"type": "websocket.send", "text": text})


async def _gathered(changed: asyncio.Queue) -> set[int]:
    pks = {await changed.get()}
    while not changed.empty():
        pks.add(changed.get_nowait())
    return pks


def _newest(user) -> str:
    runs = Run.objects.visible_to(user).order_by("-pk")[:NEWEST]
    return '{"type":"runs","runs":[' + b",".join(map(run_json, runs)).decode() + "]}"


def _changed(identity: Identity, pks: set[int]) -> list[str]:
    # Whose right to see everything was taken away sees no more of it at once.
    now = renewed(identity)
    if now is None:
        return []
    runs = Run.objects.visible_to(now.user).filter(pk__in=pks).order_by("pk")
    return ['{"type":"run","run":' + run_json(run).decode() + "}" for run in runs]
