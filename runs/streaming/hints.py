"""Hints to other processes, over the channel layer: what was stored, what became of a run.

Only where processes share a Redis. A hint that is late or lost costs its readers
latency and nothing else: every feed looks at the database by itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from channels.layers import get_channel_layer
from django.conf import settings

from .. import metrics

log = logging.getLogger(__name__)

LAYER_SECONDS = 1.0
# More than this is not worth sending late: its readers have looked by themselves.
BACKLOG_BYTES = 4 * 1024 * 1024
AGAIN_SECONDS = 1.0


class Hints:
    """One event loop's end of the layer."""

    def __init__(self):
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[tuple[str, dict, int]] = deque()
        self._bytes = 0
        self._sending: asyncio.Task | None = None
        self._failing = False

    @property
    def are_sent(self) -> bool:
        return bool(settings.REDIS_URL)

    def attach(self) -> None:
        """From here on the running loop is the one that sends."""
        self._loop = asyncio.get_running_loop()

    def post(self, group: str, message: dict) -> None:
        """send() from any thread."""
        if self.are_sent and self._loop and not self._loop.is_closed():
            with suppress(RuntimeError):  # it ends this moment
                self._loop.call_soon_threadsafe(self.send, group, message)

    async def ask(self, group: str, message: dict, seconds: float) -> dict:
        """Send, and wait for the answer that goes to the channel in `reply_to`.

        Raises TimeoutError, or what the layer raises.
        """
        layer = get_channel_layer()
        async with asyncio.timeout(seconds):
            channel = await layer.new_channel()
            await layer.group_send(group, {**message, "reply_to": channel})
            try:
                return await layer.receive(channel)
            finally:
                await _forget(layer, channel)

    async def answer(self, message: dict, answer: dict) -> None:
        with suppress(Exception):
            async with asyncio.timeout(LAYER_SECONDS):
                await get_channel_layer().send(message["reply_to"], answer)

    def send(self, group: str, message: dict, size: int = 0) -> None:
        """To everybody who listens to the group, in order, without waiting for it."""
        if not self.are_sent:
            return
        if self._bytes > BACKLOG_BYTES:
            self._drop()
        self._waiting.append((group, message, size))
        self._bytes += size
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send_all())

    async def _send_all(self) -> None:
        layer = get_channel_layer()
        while self._waiting:
            group, message, size = self._waiting.popleft()
            self._bytes -= size
            try:
                async with asyncio.timeout(LAYER_SECONDS):
                    await layer.group_send(group, message)
            except Exception as error:
                if not self._failing:
                    log.warning("Redis takes no hints, viewers elsewhere see late: %r", error)
                self._failing = True
                metrics.PUBLISH_FAILURES.inc()
                self._drop()
            else:
                if self._failing:
                    log.warning("Redis takes hints again.")
                self._failing = False

    def _drop(self) -> None:
        """Late ones would hold up those that come; a reader notices the gap."""
        self._waiting.clear()
        self._bytes = 0

    async def listen(self, group: str, hear: Callable[[dict], None], begun=None) -> None:
        """Hear every message to the group until cancelled; `begun()` whenever it begins."""
        layer = get_channel_layer()
        while True:
            channel = None
            try:
                async with asyncio.timeout(LAYER_SECONDS):
                    # First what leaves nothing behind where it fails: the layer keeps
                    # every channel that it could not subscribe to.
                    await layer.group_send("nobody", {})
                    channel = await layer.new_channel()
                    await layer.group_add(group, channel)
                if begun:
                    await begun()
                while True:
                    hear(await layer.receive(channel))
            except Exception as error:
                log.debug("Not listening to %s: %r", group, error)
            finally:
                if channel:
                    with suppress(Exception):
                        async with asyncio.timeout(LAYER_SECONDS):
                            await layer.group_discard(group, channel)
            await asyncio.sleep(AGAIN_SECONDS)


async def _forget(layer, channel: str) -> None:
    """Let go of a channel: the Redis layer does when a receive() is cancelled."""
    receiving = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    receiving.cancel()
    with suppress(BaseException):
        await receiving


hints = Hints()
