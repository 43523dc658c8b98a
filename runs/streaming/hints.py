"""Hints to other processes, over the channel layer: what was stored, what became of a run.

Only where processes share a Redis. A hint that is late or lost costs its readers
latency and nothing else: every feed looks at the database by itself.
"""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers, get_channel_layer
from django.conf import settings

from .. import metrics

log = logging.getLogger(__name__)

LAYER_SECONDS = 1.0
# More than this is not worth sending late: its readers have looked by themselves.
BACKLOG_BYTES = 4 * 1024 * 1024
# What goes out together.
AT_ONCE, AT_ONCE_BYTES = 500, 1024 * 1024
# One command with one answer: to read the answers of a pipeline took a sixth of a worker.
PUBLISH_ALL = "for n = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[n], ARGV[n + 1]) end"
AGAIN_SECONDS = 1.0
# We send ourselves something each second; who hears none for so long is deaf.
PULSE_SECONDS = 1.0
DEAF_SECONDS = 4.0


class Hints:
    """One event loop's end of the layer."""

    def __init__(self):
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[tuple[str, dict, int]] = deque()
        self._bytes = 0
        self._sending: asyncio.Task | None = None
        self._failing = False
        # Where only we listen, for our own pulse and for answers to us.
        self._own_group = f"own.{secrets.token_hex(8)}"
        self._asked: dict[str, asyncio.Future] = {}
        self._users = 0
        self._minding: asyncio.Task | None = None
        self._heard_at = 0.0
        self._receiving: set[asyncio.Future] = set()
        self._closing: asyncio.Future | None = None

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
        """Send, and wait for what answer() is given. Raises TimeoutError."""
        key = secrets.token_hex(8)
        answered = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            with self._minded():
                async with asyncio.timeout(seconds):
                    self.send(group, {**message, "reply_to": [self._own_group, key]})
                    return await answered
        finally:
            del self._asked[key]

    def answer(self, message: dict, answer: dict) -> None:
        group, key = message["reply_to"]
        self.send(group, {"type": "answer", "key": key, "answer": answer})

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
        while self._waiting:
            messages = self._take_some()
            try:
                async with asyncio.timeout(LAYER_SECONDS):
                    await _send_at_once(get_channel_layer(), messages)
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

    def _take_some(self) -> list[tuple[str, dict]]:
        taken, size = [], 0
        while self._waiting and size < AT_ONCE_BYTES and len(taken) < AT_ONCE:
            group, message, of_this = self._waiting.popleft()
            self._bytes -= of_this
            size += of_this
            taken.append((group, message))
        return taken

    def _drop(self) -> None:
        """Late ones would hold up those that come; a reader notices the gap."""
        self._waiting.clear()
        self._bytes = 0

    async def listen(self, group: str, hear: Callable[[dict], None], begun=None) -> None:
        """Hear every message to the group until cancelled; `begun()` whenever it begins."""
        with self._minded():
            await self._listen(group, hear, begun)

    async def _listen(self, group: str, hear: Callable[[dict], None], begun=None) -> None:
        while True:
            # In a task of its own: the client of Redis may swallow that it was cancelled.
            receiving = asyncio.ensure_future(self._receive(group, hear, begun))
            receiving.add_done_callback(_tell_why)
            self._receiving.add(receiving)
            try:
                await asyncio.wait({receiving})
            finally:
                self._receiving.discard(receiving)
                receiving.cancel()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _receive(self, group: str, hear: Callable[[dict], None], begun) -> None:
        layer = get_channel_layer()
        async with asyncio.timeout(LAYER_SECONDS):
            # First what leaves nothing behind where it fails: the layer keeps every
            # channel that it could not subscribe to.
            await layer.group_send("nobody", {})
            channel = await layer.new_channel()
            await layer.group_add(group, channel)
        try:
            if begun:
                await begun()
            while asyncio.current_task() in self._receiving:
                hear(await layer.receive(channel))
        finally:
            with suppress(Exception):
                async with asyncio.timeout(LAYER_SECONDS):
                    await layer.group_discard(group, channel)

    # --- that we are not deaf --------------------------------------------------

    @contextmanager
    def _minded(self) -> Iterator[None]:
        self._users += 1
        if self._minding is None or self._minding.done():
            self._minding = asyncio.ensure_future(self._mind())
        try:
            yield
        finally:
            self._users -= 1

    async def _mind(self) -> None:
        """A layer whose Redis was away may hear nothing more and never say so: two of
        its tasks then reconnected at once and took each other's answers."""
        self._heard_at = time.monotonic()
        ear = asyncio.ensure_future(self._listen(self._own_group, self._take_own))
        try:
            while self._users:
                await asyncio.sleep(PULSE_SECONDS)
                self.send(self._own_group, {"type": "pulse"})
                if time.monotonic() - self._heard_at > DEAF_SECONDS:
                    self._renew_layer()
                    self._heard_at = time.monotonic()
        finally:
            ear.cancel()

    def _take_own(self, message: dict) -> None:
        self._heard_at = time.monotonic()
        answered = self._asked.get(message.get("key"))
        if answered and not answered.done():
            answered.set_result(message["answer"])

    def _renew_layer(self) -> None:
        """A new layer with new connections, and every listener anew at it."""
        log.debug("Nothing is heard over Redis: connecting anew.")
        new = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
        old = channel_layers.set(DEFAULT_CHANNEL_LAYER, new)
        for receiving in self._receiving:
            receiving.cancel()
        if old:
            self._closing = asyncio.ensure_future(_close(old))


async def _send_at_once(layer, messages: list[tuple[str, dict]]) -> None:
    """group_send() of all of them, in order, in one way to Redis and back.

    The layer's own waits for each answer, and in a loop that is busy with hundreds of
    runs each wait takes a turn: 600 to 2,000 went out a second where 2,000 came, and
    viewers were seconds behind.
    """
    inner = layer._get_layer()
    (shard,) = inner._shards  # we give it one host
    async with shard._lock:
        shard._ensure_redis()
        given: list[str | bytes] = []
        for group, message in messages:
            given += inner._get_group_channel_name(group), layer.serialize(message)
        await shard._redis.eval(PUBLISH_ALL, 0, *given)


def _tell_why(receiving: asyncio.Future) -> None:
    if not receiving.cancelled() and (error := receiving.exception()):
        log.debug("Not listening any more: %r", error)


async def _close(layer) -> None:
    with suppress(Exception):
        async with asyncio.timeout(LAYER_SECONDS):
            await layer.flush()


hints = Hints()
