"""Hints over a real Redis: a viewer in one process follows a recorder in another."""

import asyncio
import signal
from contextlib import aclosing
from unittest import mock

from channels.layers import get_channel_layer
from django.test import TransactionTestCase, override_settings

from runs.models import Run, Status
from runs.streaming import database, feed, hints
from runs.streaming.feed import Feeds
from runs.streaming.follow import Changed, Ended, follow
from runs.streaming.recorder import Recorder
from tests.people import make_user
from tests.servers import Redis

from .helpers import drafts, make_held_run, take


class HintTests(TransactionTestCase):
    """The global feeds watch; `there` belongs to the process that records."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.redis = cls.enterClassContext(Redis())

    def setUp(self):
        config = {"hosts": [self.redis.url]}
        layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": config}
        self.enterContext(
            override_settings(REDIS_URL=self.redis.url, CHANNEL_LAYERS={"default": layer})
        )
        self.run_row = make_held_run(make_user("ada"))
        self.there = Feeds(hints.Hints())

    def only_hints(self):
        """The look at the database each second must not be what makes a test pass."""
        self.enterContext(mock.patch.object(feed, "LOOK_SECONDS", 60.0))

    async def record(self, *chunks: str) -> None:
        self.there.attach()
        recorder = Recorder(self.there.deliver)
        recorder.start()
        recording = await recorder.open(await Run.objects.aget(pk=self.run_row.pk))
        for text in chunks:
            await recording.append(drafts(text))
            await recording.flush()
        await recorder.close()

    async def listening(self, viewer) -> None:
        """Until the viewer's process hears what is sent."""
        self.assertIsInstance(await anext(viewer), Changed)
        group = f"asgi__group__run.{self.run_row.pk}"
        async with asyncio.timeout(10):
            while True:
                shard = get_channel_layer()._get_layer()._shards[0]
                if group in shard._subscribed_to:
                    return
                await asyncio.sleep(0.01)

    async def test_output_and_changes_reach_another_process(self):
        self.only_hints()
        async with aclosing(follow(self.run_row.pk)) as viewer:
            await self.listening(viewer)
            waiting = asyncio.create_task(take(viewer, 3, seconds=20))
            await self.record("one", "two\n", "x" * 300_000)
            self.assertEqual(await waiting, ["one", "two\n", "x" * 300_000])
            run = await Run.objects.aget(pk=self.run_row.pk)
            await database.write(Run.objects.set_stalled, run, True)
            self.there.tell(await Run.objects.aget(pk=run.pk))
            async with asyncio.timeout(10):
                changed = await anext(viewer)
            self.assertIn(b'"stalled":true', changed.run)
            await database.write(Run.objects.finish, run, Status.SUCCEEDED)
            self.there.tell(await Run.objects.aget(pk=run.pk))
            async with asyncio.timeout(10):
                last = [item async for item in viewer][-1]
            self.assertIsInstance(last, Ended)
        await get_channel_layer().flush()

    async def test_without_redis_it_comes_later_and_with_it_at_once_again(self):
        async with aclosing(follow(self.run_row.pk)) as viewer:
            await self.listening(viewer)
            with (
                mock.patch.object(hints, "LAYER_SECONDS", 0.2),
                self.assertLogs("runs.streaming.hints", "WARNING") as logs,
                self.assertLogs("channels_redis.pubsub", "ERROR"),
            ):
                self.redis.stop(signal.SIGKILL)
                waiting = asyncio.create_task(take(viewer, 2, seconds=20))
                await self.record("while it is", "away")
                self.assertEqual(await waiting, ["while it is", "away"])
                self.redis.start()
                async with asyncio.timeout(20):
                    while "takes hints again" not in logs.output[-1]:
                        await self.record("on")
                        await take(viewer, 1)
            self.only_hints()
            async with asyncio.timeout(20):
                for number in range(20):
                    waiting = asyncio.create_task(take(viewer, 1, seconds=20))
                    await self.record(f"back {number}")
                    self.assertEqual(await waiting, [f"back {number}"])
        await get_channel_layer().flush()

    async def test_who_hears_nothing_any_more_notices_and_connects_anew(self):
        heard = asyncio.Event()
        mine = hints.Hints()
        with (
            mock.patch.object(hints, "PULSE_SECONDS", 0.05),
            mock.patch.object(hints, "DEAF_SECONDS", 0.5),
            mock.patch.object(hints, "AGAIN_SECONDS", 0.05),
        ):
            listening = asyncio.create_task(mine.listen("x", lambda message: heard.set()))
            await self.heard(mine, heard)
            # As after an outage in which two of its tasks reconnected at once.
            get_channel_layer()._get_layer()._shards[0]._receive_task.cancel()
            await asyncio.sleep(0)
            heard.clear()
            await self.heard(mine, heard)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        await get_channel_layer().flush()

    async def test_what_has_gathered_goes_out_together_and_in_order(self):
        heard, begun = asyncio.Queue(), asyncio.Event()
        mine = hints.Hints()

        async def begin() -> None:
            begun.set()

        listening = asyncio.create_task(mine.listen("x", heard.put_nowait, begin))
        async with asyncio.timeout(10):
            await begun.wait()
            with mock.patch.object(hints, "_send_at_once", wraps=hints._send_at_once) as sent:
                for number in range(1_000):
                    mine.send(f"other.{number}", {"number": number})
                    mine.send("x", {"number": number}, 100)
                found = [(await heard.get())["number"] for _ in range(1_000)]
        self.assertEqual(found, list(range(1_000)))
        self.assertLess(sent.call_count, 10)
        self.assertEqual(mine._bytes, 0)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await get_channel_layer().flush()

    async def heard(self, mine: hints.Hints, heard: asyncio.Event) -> None:
        async with asyncio.timeout(10):
            while not heard.is_set():
                mine.send("x", {"type": "hello"})
                await asyncio.sleep(0.05)
