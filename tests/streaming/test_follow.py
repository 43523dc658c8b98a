"""follow(): every chunk after the cursor once and in order, whatever gets lost on the way."""

import asyncio
from contextlib import aclosing
from unittest import mock

from django.test import TransactionTestCase

from runs.models import Run, Status
from runs.streaming import database, feed
from runs.streaming.feed import Feed, announce, feeds
from runs.streaming.follow import Changed, Ended, Gone, Idle, Output, follow, follow_runs
from runs.streaming.recorder import Recorder
from runs.streaming.wire import Batch
from tests.factories import make_run
from tests.people import make_user

from .helpers import drafts, finish, make_held_run, read_to_end, take, texts


class FollowTests(TransactionTestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.run_row = make_held_run(self.alice)
        self.hints = feeds.deliver

    async def record(self, *chunks, publish=None):
        writer = Recorder(publish or self.hints)
        writer.start()
        recording = await writer.open(await Run.objects.aget(pk=self.run_row.pk))
        for text in chunks:
            await recording.append(drafts(text))
            await recording.flush()
        await writer.close()

    async def test_a_finished_run_is_read_whole_and_ends(self):
        run = await database.write(make_run, self.alice, Status.FAILED, ["one", "two", "three"])
        items = [item async for item in follow(run.pk)]
        self.assertEqual([type(item) for item in items], [Changed, Output, Ended])
        self.assertEqual(texts(items[1]), ["one", "two", "three"])
        self.assertIn(b'"status":"failed"', items[2].run)

    async def test_a_cursor_is_where_reading_goes_on(self):
        run = await database.write(make_run, self.alice, Status.SUCCEEDED, ["one", "two", "three"])
        self.assertEqual((await read_to_end(run.pk, after=1))[0], [2, 3])
        self.assertEqual((await read_to_end(run.pk, after=3))[0], [])
        self.assertEqual((await read_to_end(run.pk, after=99))[0], [])

    async def test_live_output_arrives_without_reading_the_database(self):
        async with aclosing(follow(self.run_row.pk)) as viewer:
            self.assertIsInstance(await anext(viewer), Changed)
            with mock.patch.object(feed.database, "read", side_effect=AssertionError("was read")):
                waiting = asyncio.create_task(take(viewer, 1))
                await asyncio.sleep(0)
                feeds.deliver(self.run_row.pk, [Batch(1, 1, b'{"seq":1,"text":"live"}')])
                self.assertEqual(await waiting, ["live"])

    async def test_a_dropped_message_is_read_back_from_the_database(self):
        async with aclosing(follow(self.run_row.pk)) as viewer:
            await self.record("one", "two")
            self.assertEqual(await take(viewer, 2), ["one", "two"])
            await self.record("three", publish=lambda *lost: None)
            await self.record("four")
            self.assertEqual(await take(viewer, 2), ["three", "four"])

    async def test_a_doubled_or_late_message_is_shown_once(self):
        kept = []
        async with aclosing(follow(self.run_row.pk)) as viewer:
            await self.record("one", "two", publish=lambda pk, found: kept.append((pk, found)))
            for pk, found in [*kept, *reversed(kept), *kept]:
                feeds.deliver(pk, found)
            self.assertEqual(await take(viewer, 2), ["one", "two"])
            await self.record("three")
            self.assertEqual(await take(viewer, 1), ["three"])

    async def test_with_all_hints_lost_it_is_noticed_within_a_second(self):
        async with aclosing(follow(self.run_row.pk)) as viewer:
            self.assertIsInstance(await anext(viewer), Changed)
            waiting = asyncio.create_task(take(viewer, 2, seconds=4))
            await self.record("one", "two", publish=lambda *lost: None)
            self.assertEqual(await waiting, ["one", "two"])

    async def test_silence_costs_one_query_a_second_for_all_quiet_runs(self):
        runs = [await database.write(make_held_run, self.alice) for _ in range(5)]
        looks = []
        with (
            mock.patch.object(feed, "LOOK_SECONDS", 0.02),
            mock.patch.object(
                feed, "_states", side_effect=lambda pks: looks.append(set(pks)) or real(pks)
            ),
        ):
            viewers = [follow(run.pk) for run in runs for _ in range(10)]
            first = [asyncio.create_task(anext(viewer)) for viewer in viewers]
            await asyncio.gather(*first)
            rest = [asyncio.create_task(anext(viewer)) for viewer in viewers]
            async with asyncio.timeout(5):
                while looks.count({run.pk for run in runs}) < 3:
                    await asyncio.sleep(0.01)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
        # With Redis each feed has looked once by itself, when it began to listen.
        self.assertLessEqual(len([look for look in looks if len(look) == 1]), len(runs))

    async def test_a_final_status_comes_after_the_last_chunk(self):
        async with aclosing(follow(self.run_row.pk)) as viewer:
            await anext(viewer)
            await self.record("one", publish=lambda *lost: None)
            await finish(await Run.objects.aget(pk=self.run_row.pk))
            items = [item async for item in viewer]
        self.assertEqual([type(item) for item in items], [Output, Changed, Ended])
        self.assertIn(b'"status":"succeeded"', items[1].run)

    async def test_a_reader_that_falls_out_of_the_window_misses_nothing(self):
        with mock.patch.object(feed, "WINDOW_BYTES", 300):
            async with aclosing(follow(self.run_row.pk)) as viewer:
                await anext(viewer)
                await self.record(*(f"chunk {n}" for n in range(40)))
                await finish(await Run.objects.aget(pk=self.run_row.pk))
                self.assertEqual(await take(viewer, 40), [f"chunk {n}" for n in range(40)])

    async def test_many_viewers_that_come_and_go_each_get_everything_once(self):
        cursors = dict.fromkeys(range(20), 0)
        seen = {n: [] for n in range(20)}

        async def come_and_go(n):
            while True:
                async with aclosing(follow(self.run_row.pk, cursors[n])) as viewer:
                    async for item in viewer:
                        if isinstance(item, Ended):
                            return
                        if isinstance(item, Output):
                            seen[n] += texts(item)
                            cursors[n] = item.batches[-1].last_seq
                            if len(seen[n]) % 3 == n % 3:
                                break  # reconnect at once

        viewers = [asyncio.create_task(come_and_go(n)) for n in cursors]
        chunks = [f"{n};" for n in range(150)]
        await self.record(*chunks)
        await finish(await Run.objects.aget(pk=self.run_row.pk))
        async with asyncio.timeout(20):
            await asyncio.gather(*viewers)
        for n, found in seen.items():
            self.assertEqual(found, chunks, f"viewer {n}")
        self.assertFalse(feeds._feeds)

    async def test_silence_is_told_when_asked_for(self):
        async with aclosing(follow(self.run_row.pk, idle_seconds=0.01)) as viewer:
            await anext(viewer)
            self.assertIsInstance(await anext(viewer), Idle)
            self.assertIsInstance(await anext(viewer), Idle)

    async def test_a_run_that_is_deleted_while_it_is_watched_is_gone(self):
        run = await database.write(make_run, self.alice, Status.RUNNING)
        with mock.patch.object(feed, "LOOK_SECONDS", 0.02):
            async with aclosing(follow(run.pk)) as viewer:
                await anext(viewer)
                waiting = asyncio.create_task(anext(viewer))
                await database.write(run.delete)
                self.assertIsInstance(await waiting, Gone)
        self.assertEqual([type(item) async for item in follow(run.pk)], [Gone])

    async def test_a_reader_steps_over_the_hole_of_the_output_cap(self):
        run = await database.write(
            make_run, self.alice, Status.SUCCEEDED, [f"{n}" for n in range(1, 21)]
        )
        await run.chunk_set.filter(seq__range=(5, 12)).adelete()
        self.assertEqual((await read_to_end(run.pk))[0], [1, 2, 3, 4, *range(13, 21)])
        self.assertEqual((await read_to_end(run.pk, after=7))[0], [*range(13, 21)])

    async def test_changes_of_any_run_are_told_to_lists(self):
        async with aclosing(follow_runs()) as changes:
            waiting = asyncio.create_task(anext(changes))
            await asyncio.sleep(0)
            announce(self.run_row)
            self.assertIn(self.run_row.pk, await waiting)

    async def test_lists_hear_of_other_processes_within_a_second(self):
        with mock.patch.object(feed, "LOOK_SECONDS", 0.02):
            async with aclosing(follow_runs()) as changes, asyncio.timeout(5):
                waiting = asyncio.create_task(anext(changes))
                await asyncio.sleep(0.05)
                await self.record("progress", publish=lambda *lost: None)
                self.assertEqual(await waiting, {self.run_row.pk})
                new = await database.write(make_run, self.alice)
                self.assertEqual(await anext(changes), {new.pk})


class FeedWindowTests(TransactionTestCase):
    def batch(self, first, last):
        return Batch(first, last, b"\n".join(b"%d" % n for n in range(first, last + 1)))

    def test_only_a_window_without_a_gap_is_given_out(self):
        one = Feed(1)
        one.deliver([self.batch(5, 9), self.batch(10, 12)])
        self.assertIsNone(one.after(3))
        self.assertEqual([b.first_seq for b in one.after(4)], [5, 10])
        self.assertEqual([(b.first_seq, b.lines) for b in one.after(10)], [(11, b"11\n12")])
        self.assertIsNone(one.after(12))
        one.deliver([self.batch(20, 21)])
        self.assertIsNone(one.after(12))
        self.assertEqual([b.first_seq for b in one.after(19)], [20])


real = feed._states
