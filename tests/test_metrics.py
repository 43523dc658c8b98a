"""What goes wrong is counted, once each, in the process in which it happens."""

import asyncio
import re
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from unittest import mock

from django.db import OperationalError
from django.test import SimpleTestCase, TransactionTestCase
from prometheus_client import REGISTRY

from runs.execution import dispatch
from runs.models import ACTIVE, Run, RunQuerySet, Status
from runs.streaming import database, feed, recorder
from runs.streaming.feed import feeds
from runs.streaming.follow import Changed, follow
from runs.streaming.recorder import LeaseLost, Recorder
from runs.web.metrics import DatabaseNumbers
from tests.execution.helpers import CarryingTestCase
from tests.factories import make_run
from tests.people import make_user
from tests.streaming.helpers import drafts, finish, make_held_run, read_to_end, take
from tests.web.asgi_client import Socket, token_of

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def value(name: str, **labels) -> float:
    return REGISTRY.get_sample_value(f"streamsite_{name}", labels) or 0


class Counted:
    """How much a number has grown since this was made."""

    def __init__(self, name: str, **labels):
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    @property
    def more(self) -> float:
        return value(self._name, **self._labels) - self._before


def ends() -> dict[str, Counted]:
    final = (status for status in Status if status not in ACTIVE)
    return {status.value: Counted("runs_ended_total", status=status.value) for status in final}


def grown(counts: dict[str, Counted]) -> dict[str, float]:
    return {status: count.more for status, count in counts.items() if count.more}


class DocumentationTests(SimpleTestCase):
    def test_every_number_has_a_row_and_every_row_is_a_number(self):
        rows = re.findall(r"^\| (`streamsite_.*?) \|", README, re.M)
        documented = {re.sub(r"\{.*", "", name) for name in re.findall(r"`(.*?)`", " ".join(rows))}
        families = [*REGISTRY.collect(), *DatabaseNumbers().describe()]
        suffix = {"counter": "_total", "info": "_info"}
        ours = {family.name + suffix.get(family.type, "") for family in families}
        self.assertEqual(documented, {name for name in ours if name.startswith("streamsite_")})


class RecorderTests(TransactionTestCase):
    def setUp(self):
        self.run_row = make_held_run(make_user("alice"))

    @asynccontextmanager
    async def recording(self, publish=lambda *batches: None):
        writer = Recorder(publish)
        writer.start()
        try:
            yield await writer.open(self.run_row)
        finally:
            await writer.close()

    async def test_what_is_stored_is_counted_in_chunks_and_bytes(self):
        chunks, size = Counted("recorded_chunks_total"), Counted("recorded_bytes_total")
        stores = Counted("store_seconds_count")
        async with self.recording() as recording:
            await recording.append(drafts("one\n", "zwölf"))
            await recording.flush()
            await recording.append(drafts("x"))
            await recording.flush()
        self.assertEqual((chunks.more, size.more, stores.more), (3, 4 + 6 + 1, 2))

    async def test_a_successor_counts_only_its_own(self):
        await Run.objects.filter(pk=self.run_row.pk).aupdate(last_seq=7, output_bytes=700)
        self.run_row = await Run.objects.aget(pk=self.run_row.pk)
        chunks, size = Counted("recorded_chunks_total"), Counted("recorded_bytes_total")
        async with self.recording() as recording:
            await recording.append(drafts("more"))
            await recording.flush()
        self.assertEqual((chunks.more, size.more), (1, 4))

    async def test_failures_are_counted_and_the_output_only_once(self):
        failures = iter([OperationalError("database is locked")] * 3)
        real = recorder.store

        def flaky(works):
            for error in failures:
                raise error
            return real(works)

        failed, chunks = Counted("store_failures_total"), Counted("recorded_chunks_total")
        with (
            mock.patch.object(recorder, "store", flaky),
            mock.patch.object(recorder, "RETRY_FIRST", 0.001),
            self.assertLogs("runs.streaming.recorder", "WARNING"),
        ):
            async with self.recording() as recording:
                await recording.append(drafts("a"))
                await recording.flush()
        self.assertEqual((failed.more, chunks.more), (3, 1))

    async def test_a_chunk_that_is_replaced_is_counted(self):
        replaced, failed = Counted("replaced_chunks_total"), Counted("store_failures_total")
        with self.assertLogs("runs.streaming.recorder", "ERROR"):
            async with self.recording() as recording:
                await recording.append(drafts("before", "\ud800", "after"))
                await recording.flush()
        self.assertEqual((replaced.more, failed.more), (1, 0))

    async def test_of_a_run_that_was_lost_nothing_is_counted(self):
        await Run.objects.filter(pk=self.run_row.pk).aupdate(epoch=2)
        chunks = Counted("recorded_chunks_total")
        async with self.recording() as recording:
            await recording.append(drafts("no"))
            with self.assertRaises(LeaseLost):
                await recording.flush()
        self.assertEqual(chunks.more, 0)

    async def test_a_publish_that_fails_is_counted_and_the_recorder_goes_on(self):
        failed, chunks = Counted("publish_failures_total"), Counted("recorded_chunks_total")
        publish = mock.Mock(side_effect=[ConnectionError("no channel layer"), None])
        with self.assertLogs("runs.streaming.recorder", "ERROR"):
            async with self.recording(publish) as recording:
                for text in "ab":
                    await recording.append(drafts(text))
                    async with asyncio.timeout(10):
                        await recording.flush()
        self.assertEqual((failed.more, chunks.more, publish.call_count), (1, 2, 2))


class FeedTests(TransactionTestCase):
    def setUp(self):
        self.run_row = make_held_run(make_user("alice"))
        self.lost = Counted("feed_gaps_total", reason="lost")
        self.behind = Counted("feed_gaps_total", reason="behind")

    async def record(self, *chunks, publish=feeds.deliver):
        writer = Recorder(publish)
        writer.start()
        recording = await writer.open(await Run.objects.aget(pk=self.run_row.pk))
        for text in chunks:
            await recording.append(drafts(text))
            await recording.flush()
        await writer.close()

    async def test_neither_the_past_nor_live_output_is_a_gap(self):
        await self.record("one", "two")
        async with aclosing(follow(self.run_row.pk)) as viewer:
            self.assertEqual(await take(viewer, 2), ["one", "two"])
            waiting = asyncio.create_task(take(viewer, 1))
            await self.record("three")
            self.assertEqual(await waiting, ["three"])
        await finish(await Run.objects.aget(pk=self.run_row.pk))
        await read_to_end(self.run_row.pk)
        self.assertEqual((self.lost.more, self.behind.more), (0, 0))

    async def test_a_hint_that_was_lost_is_a_gap_of_the_feed_and_of_its_reader(self):
        async with aclosing(follow(self.run_row.pk)) as viewer:
            self.assertIsInstance(await anext(viewer), Changed)
            waiting = asyncio.create_task(take(viewer, 1))
            await asyncio.sleep(0)
            await self.record("one")
            self.assertEqual(await waiting, ["one"])
            await self.record("two", publish=lambda *lost: None)
            await self.record("three")
            self.assertEqual(await take(viewer, 2), ["two", "three"])
        self.assertEqual((self.lost.more, self.behind.more), (1, 1))

    async def test_a_reader_that_waited_in_vain_for_a_hint_is_counted(self):
        with mock.patch.object(feed, "LOOK_SECONDS", 0.05):
            async with aclosing(follow(self.run_row.pk)) as viewer:
                self.assertIsInstance(await anext(viewer), Changed)
                waiting = asyncio.create_task(take(viewer, 1))
                await asyncio.sleep(0)
                await self.record("one", publish=lambda *lost: None)
                self.assertEqual(await waiting, ["one"])
        self.assertEqual((self.lost.more, self.behind.more), (0, 1))

    async def test_a_reader_that_fell_behind_the_window_is_counted_once(self):
        with (
            mock.patch.object(feed, "WINDOW_BYTES", 300),
            mock.patch("runs.streaming.follow.PAGE_ROWS", 10),
        ):
            async with aclosing(follow(self.run_row.pk)) as viewer:
                await anext(viewer)
                waiting = asyncio.create_task(take(viewer, 1))
                await asyncio.sleep(0)
                await self.record("chunk 0")
                await waiting
                await self.record(*(f"chunk {n}" for n in range(1, 40)))
                await take(viewer, 39)
        self.assertEqual((self.lost.more, self.behind.more), (0, 1))


class ExecutionTests(CarryingTestCase):
    async def test_a_run_taken_away_is_a_lease_loss_and_no_end(self):
        losses, ended = Counted("lease_losses_total"), ends()
        async with self.executing() as executor:
            run = await self.submit("echo on; read x", stdin=True)
            run = await self.printed(run, "on")
            self.assertEqual(value("runs_carried"), 1)
            self.assertEqual(value("sandboxes_open", backend="local"), 1)
            await database.write(Run.objects.take_over, run.pk, "somebody else", 30)
            with self.assertLogs("runs", "WARNING"):
                await executor.carrier(run.pk).send_stdin(0, "leave\n")
                async with asyncio.timeout(15):
                    while executor.running:
                        await asyncio.sleep(0.01)
            self.assertEqual(value("runs_carried"), 0)
            self.assertEqual(value("sandboxes_open", backend="local"), 0)
        self.assertEqual(losses.more, 1)
        self.assertEqual(grown(ended), {})

    async def test_how_each_run_ended_is_counted(self):
        ended = ends()
        async with self.executing():
            await self.carry("exit 0")
            await self.carry("exit 3")
            await self.carry("sleep 60", timeout=0.2)
        self.assertEqual(grown(ended), {"succeeded": 1, "failed": 1, "timed_out": 1})

    async def test_a_cancel_that_came_too_late_ends_nothing(self):
        run = await database.write(
            partial(make_run, self.alice, Status.SUCCEEDED, executor="us", epoch=1)
        )
        ended = ends()
        # It was going on when it was asked for.
        with mock.patch.object(RunQuerySet, "request_cancel", return_value=True):
            await database.write(dispatch.cancel, run)
        self.assertEqual(grown(ended), {})

    async def test_runs_left_behind_count_as_lost(self):
        for _ in range(2):
            await database.write(make_held_run, self.alice)
        ended = ends()
        async with self.executing():
            self.assertEqual(grown(ended), {"lost": 2})

    async def test_output_that_waits_for_the_recorder_shows(self):
        async with self.executing() as executor:
            held = await database.write(make_held_run, self.alice)
            recording = await executor._recorder.open(held)
            # Not yet taken: the recorder's task has not run since.
            recording.drafts = drafts("x" * 1000)
            recording.waiting_bytes = 1128
            executor._recorder._ready[recording] = None
            self.assertEqual(value("recorder_waiting_runs"), 1)
            self.assertEqual(value("recorder_waiting_bytes"), 1128)
            executor._recorder._ready.clear()


class ListTests(TransactionTestCase):
    async def test_open_lists_of_runs_are_counted(self):
        headers = await database.read(token_of, await database.write(make_user, "alice"))
        before = value("list_viewers")
        async with Socket("/ws/runs/", headers) as socket:
            await socket.until("runs")
            self.assertEqual(value("list_viewers"), before + 1)
        self.assertEqual(value("list_viewers"), before)
