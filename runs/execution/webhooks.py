"""Telling webhooks that runs have ended.

A delivery is a row, added in the transaction that ended its run. Any process that carries
runs takes due ones by a conditional update and has them for a while; what it did not get
done comes due again. So a message may come twice, with the same id, and none is lost.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from datetime import UTC, datetime

import orjson
from django.conf import settings

from ..fields import Unreadable
from ..models import Delivery, Run
from ..streaming import database
from ..streaming.wire import run_dict
from ..targets import parse_target
from .posting import Undeliverable, post

log = logging.getLogger(__name__)

# At once, each to another webhook: those that hang must not hold up the others.
AT_ONCE = 16
PRUNE_SECONDS = 600.0
GONE = "The run was deleted before this could be sent."


class Deliverer:
    """Sends what is due; its methods belong to one event loop."""

    def __init__(self):
        self._sending: dict[int, asyncio.Task] = {}  # by webhook
        self._prune_at = 0.0

    async def look(self) -> None:
        """Begin to send what is due, as far as there is room."""
        if time.monotonic() > self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_SECONDS
            await database.write(Delivery.objects.prune)
        room = AT_ONCE - len(self._sending)
        if room <= 0 or not await database.read(Delivery.objects.any_due):
            return
        for delivery in await database.write(Delivery.objects.due, room, [*self._sending]):
            task = asyncio.create_task(self._send(delivery), name=f"webhook {delivery}")
            self._sending[delivery.webhook_id] = task
            task.add_done_callback(lambda _, key=delivery.webhook_id: self._sending.pop(key))

    async def stop(self) -> None:
        """Let go of what is being sent: it comes due again."""
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until what is being sent is done."""
        await asyncio.gather(*self._sending.values(), return_exceptions=True)

    async def _send(self, delivery: Delivery) -> None:
        try:
            status = await _attempt(delivery)
        except Undeliverable as reason:
            outcome = delivery, str(reason), reason.status_code, reason.for_good
            await database.insist(Delivery.objects.failed, *outcome)
        except Exception:
            log.exception("Delivery %s failed inside streamsite", delivery)
            sentence = "streamsite failed. The server's log says why."
            await database.insist(Delivery.objects.failed, delivery, sentence, None)
        else:
            await database.insist(Delivery.objects.delivered, delivery, status)


async def _attempt(delivery: Delivery) -> int:
    """The status of the answer. Raises Undeliverable."""
    hook = delivery.webhook
    if not hook.user.is_active:
        raise Undeliverable("The account is deactivated.", for_good=True)
    try:
        target = parse_target(hook.url)
        key = hook.key()
    except (ValueError, Unreadable) as error:
        raise Undeliverable(str(error), for_good=True) from None
    body = await database.read(body_of, delivery)
    return await post(target, signed(key, delivery.public_id, body), body)


def body_of(delivery: Delivery) -> bytes:
    """What is sent, as JSON. Raises Undeliverable."""
    data: dict = {}
    if delivery.run:
        run = Run.objects.filter(public_id=delivery.run).first()
        if run is None:
            raise Undeliverable(GONE, for_good=True)
        data = run_dict(run)
        urls = data["urls"].items()
        data["urls"] = {name: _absolute(name, path) for name, path in urls}
    moment = delivery.created_at.astimezone(UTC).isoformat(timespec="milliseconds")
    message = {"type": delivery.event, "timestamp": moment.replace("+00:00", "Z")}
    return orjson.dumps(message | {"data": {"run": data} if data else {}})


def _absolute(name: str, path: str) -> str:
    if not settings.SITE_URL:
        return path
    # http becomes ws, https wss.
    return ("ws" + settings.SITE_URL[4:] if name == "websocket" else settings.SITE_URL) + path


def signed(key: bytes, message_id: str, body: bytes) -> dict[str, str]:
    """The headers of "Standard Webhooks" 1.0, with the time of this attempt."""
    now = str(int(datetime.now(UTC).timestamp()))
    digest = hmac.digest(key, f"{message_id}.{now}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": now,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
