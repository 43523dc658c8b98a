"""The recorder: numbered, stored, then published; nothing lost, nothing twice."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from unittest import mock, skipUnless

import orjson
from django.db import OperationalError, connection
from django.db.models import Max
from django.test import TransactionTestCase, override_settings

from runs.models import STREAM_CODES, Chunk, Run, Status
from runs.streaming import database, recorder
from runs.streaming.lines import Draft
from runs.streaming.recorder import LeaseLost, Recorder
from tests.people import make_user

from .helpers import drafts, make_held_run

LOCK = {
    "sqlite": ["BEGIN IMMEDIATE"],
    "postgresql": ["BEGIN", "SELECT id FROM runs_run FOR UPDATE"],
}


def elsewhere(function):
    """What it gives on another connection."""

    def call():
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def last_seq() -> int:
    return Chunk.objects.aggregate(last=Max("seq"))["last"]


class RecorderTests(TransactionTestCase):
    def setUp(self):
        self.run_row = make_held_run(make_user("alice"))
        self.published = []

    def publish(self, run_pk, batches):
        # What is published must be stored already: look from another connection.
        self.published += [(run_pk, batch) for batch in batches]

    @asynccontextmanager
    async def recording(self, run=None):
        writer = Recorder(self.publish)
        writer.start()
        try:
            yield await writer.open(run or self.run_row)
        finally:
            await writer.close()

    def stored(self, run=None):
        return list(Chunk.objects.of((run or self.run_row).pk))

    async def test_chunks_are_numbered_from_one_and_know_their_line_and_time(self):
        async with self.recording() as recording:
            recording.start_clock(100.0)
            await recording.append(drafts("a\n", "b", "c\n\n", "d", at=100.25))
            await recording.flush()
        found = await database.read(self.stored)
        self.assertEqual([c.seq for c in found], [1, 2, 3, 4])
        self.assertEqual([c.line for c in found], [0, 1, 1, 3])
        self.assertEqual([c.t for c in found], [250_000, 1_250_000, 2_250_000, 3_250_000])
        run = await Run.objects.aget(pk=self.run_row.pk)
        self.assertEqual((run.last_seq, run.line_count, run.output_bytes), (4, 3, 7))
        self.assertEqual(run.last_line, "d")

    async def test_time_never_falls_and_is_zero_before_the_start(self):
        async with self.recording() as recording:
            await recording.append(drafts("early", at=50.0))
            recording.start_clock(100.0)
            await recording.append(drafts("late", at=103.0))
            await recording.append(drafts("held since before", stream="v", at=101.0))
            await recording.flush()
        self.assertEqual([c.t for c in await database.read(self.stored)], [0, 3_000_000, 3_000_000])

    async def test_what_arrives_together_is_one_chunk_and_what_does_not_is_not(self):
        async with self.recording() as recording:
            out, err = STREAM_CODES["stdout"], STREAM_CODES["stderr"]
            await recording.append(
                [
                    Draft(0, out, "a", None, 1.0),
                    Draft(0, out, "b", None, 1.001),
                    Draft(0, err, "c", None, 1.002),
                    Draft(1, err, "d", None, 1.003),
                    Draft(1, err, "e", None, 1.1),
                ]
            )
            await recording.flush()
        self.assertEqual([c.text for c in await database.read(self.stored)], ["ab", "c", "d", "e"])

    async def test_a_batch_is_published_only_after_its_commit(self):
        seen = []

        def publish(run_pk, batches):
            # Another connection sees a chunk only once it is committed.
            seen.append(elsewhere(last_seq))
            self.published += batches

        writer = Recorder(publish)
        writer.start()
        recording = await writer.open(self.run_row)
        for text in "abc":
            await recording.append(drafts(text))
            await recording.flush()
        await writer.close()
        self.assertEqual(seen, [1, 2, 3])
        self.assertEqual([batch.last_seq for batch in self.published], [1, 2, 3])

    async def test_published_lines_are_the_stored_chunks(self):
        async with self.recording() as recording:
            data = '{"type":"x","n":12345678901234567890123}'
            await recording.append([Draft(2, STREAM_CODES["event"], data + "\n", data, 1.0)])
            await recording.flush()
        ((_, batch),) = self.published
        self.assertIn(b'"data":{"type":"x","n":12345678901234567890123}', batch.lines)
        chunk = orjson.loads(batch.lines)
        self.assertEqual((chunk["seq"], chunk["task"], chunk["stream"]), (1, 2, "event"))

    async def test_what_was_consumed_is_counted_where_a_successor_could_go_on(self):
        writer = Recorder(self.publish)
        writer.start()
        recording = await writer.open(self.run_row, count_offsets=True)
        event = '{"type": "x"}'
        with self.assertLogs("runs.streaming.recorder", "ERROR"):
            await recording.append(
                [
                    *drafts("one\ntw", "o\nthr", task=1),
                    Draft(1, STREAM_CODES["event"], event + "\n", event, 1.0),
                    *drafts("warning", stream=STREAM_CODES["stderr"], task=2),
                    *drafts("not theirs\n", stream=STREAM_CODES["system"]),
                    *drafts("\ud800\nab", task=1),
                ]
            )
            await recording.flush()
        await writer.close()
        run = await Run.objects.aget(pk=self.run_row.pk)
        # The chunk that could not be stored was consumed all the same.
        self.assertEqual(run.offsets, {"1:stdout": [4, 2], "2:stderr": [0, 7]})

    async def test_a_taken_over_run_is_left_alone_and_the_others_are_stored(self):
        other = await database.write(make_held_run, await database.read(lambda: self.run_row.owner))
        await Run.objects.filter(pk=self.run_row.pk).aupdate(epoch=2)
        writer = Recorder(self.publish)
        writer.start()
        lost, kept = await writer.open(self.run_row), await writer.open(other)
        await asyncio.gather(lost.append(drafts("no")), kept.append(drafts("yes")))
        await kept.flush()
        with self.assertRaises(LeaseLost):
            await lost.flush()
        with self.assertRaises(LeaseLost):
            await lost.append(drafts("more"))
        await writer.close()
        self.assertEqual(await database.read(self.stored), [])
        self.assertEqual([c.text for c in await database.read(self.stored, other)], ["yes"])
        self.assertEqual({run_pk for run_pk, _ in self.published}, {other.pk})

    async def test_nothing_is_recorded_after_a_final_status(self):
        await database.write(Run.objects.finish, self.run_row, Status.CANCELLED)
        async with self.recording() as recording:
            await recording.append(drafts("late"))
            with self.assertRaises(LeaseLost):
                await recording.flush()
        self.assertEqual(await database.read(self.stored), [])

    async def test_a_failing_store_is_repeated_and_nothing_is_lost(self):
        failures = iter([OperationalError("database is locked")] * 3)
        real = recorder.store

        def flaky(works):
            for error in failures:
                raise error
            return real(works)

        with (
            mock.patch.object(recorder, "store", flaky),
            mock.patch.object(recorder, "RETRY_FIRST", 0.001),
            self.assertLogs("runs.streaming.recorder", "WARNING") as logs,
        ):
            async with self.recording() as recording:
                for text in "abc":
                    await recording.append(drafts(text))
                await recording.flush()
        self.assertEqual("".join(c.text for c in await database.read(self.stored)), "abc")
        self.assertIn("stored again", logs.output[-1])

    async def test_a_commit_whose_answer_was_lost_is_not_stored_twice(self):
        real = recorder.store
        calls = []

        def answer_lost(works):
            lost = real(works)
            calls.append(works)
            if len(calls) == 1:
                raise OperationalError("server closed the connection unexpectedly")
            return lost

        with (
            mock.patch.object(recorder, "store", answer_lost),
            self.assertLogs("runs.streaming.recorder", "WARNING"),
        ):
            async with self.recording() as recording:
                await recording.append(drafts("once"))
                await recording.flush()
                await recording.append(drafts("then"))
                await recording.flush()
        self.assertEqual([c.text for c in await database.read(self.stored)], ["once", "then"])
        self.assertEqual(len(self.published), 2)

    async def test_one_chunk_that_cannot_be_stored_is_replaced_by_a_remark(self):
        other = await database.write(make_held_run, await database.read(lambda: self.run_row.owner))
        writer = Recorder(self.publish)
        writer.start()
        bad, good = await writer.open(self.run_row), await writer.open(other)
        with self.assertLogs("runs.streaming.recorder", "ERROR"):
            # sqlite3 refuses half a surrogate pair, as PostgreSQL refuses others.
            await asyncio.gather(
                bad.append(drafts("before", "\ud800", "after")), good.append(drafts("fine"))
            )
            await asyncio.gather(bad.flush(), good.flush())
        await writer.close()
        found = await database.read(self.stored)
        self.assertEqual([c.seq for c in found], [1, 2, 3])
        self.assertEqual([found[0].text, found[2].text], ["before", "after"])
        self.assertEqual(found[1].stream, STREAM_CODES["system"])
        self.assertIn("could not be stored", found[1].text)
        self.assertEqual([c.text for c in await database.read(self.stored, other)], ["fine"])

    async def test_append_waits_while_the_database_is_locked(self):
        locked, release = threading.Event(), threading.Event()

        def hold_the_lock():
            with connection.cursor() as cursor:
                for statement in LOCK[connection.vendor]:
                    cursor.execute(statement)
                locked.set()
                release.wait(10)
                cursor.execute("ROLLBACK")
            connection.close()

        holder = threading.Thread(target=hold_the_lock)
        holder.start()
        await asyncio.to_thread(locked.wait, 5)
        async with self.recording() as recording:

            async def flood():
                for _ in range(64):
                    await recording.append(drafts("x" * 32 * 1024))

            flooding = asyncio.create_task(flood())
            done, _ = await asyncio.wait({flooding}, timeout=0.3)
            self.assertFalse(done)
            self.assertLess(recording.waiting_bytes, 512 * 1024)
            release.set()
            await flooding
            await recording.flush()
        holder.join()
        self.assertEqual(sum(len(c.text) for c in await database.read(self.stored)), 2 * 1024**2)

    @skipUnless(connection.vendor == "sqlite", "makes SQLite's own file full")
    async def test_a_full_disk_is_waited_out_and_nothing_is_lost(self):
        def set_most_pages(count=None):
            with connection.cursor() as cursor:
                if count is None:
                    cursor.execute("VACUUM")  # or pages that other tests left free would do
                cursor.execute("PRAGMA page_count")
                count = count or cursor.fetchone()[0] + 5
                cursor.execute(f"PRAGMA max_page_count={count}")

        async with self.recording() as recording:
            await database.write(set_most_pages)
            with (
                self.assertLogs("runs.streaming.recorder", "WARNING") as logs,
                # A new connection would forget the limit, as it would find the disk full.
                mock.patch.object(connection, "close"),
            ):

                async def write():
                    for _ in range(10):
                        await recording.append(drafts("x" * 100_000))

                writing = asyncio.create_task(write())
                async with asyncio.timeout(5):
                    while not logs.output:
                        await asyncio.sleep(0.01)
                self.assertFalse(writing.done())
                await database.write(set_most_pages, 2**30)
                await writing
                await recording.flush()
        self.assertIn("database or disk is full", logs.output[0])
        found = await database.read(self.stored)
        self.assertEqual([len(chunk.text) for chunk in found], [100_000] * 10)

    async def test_a_mistake_of_ours_gives_up_the_run_but_not_the_recorder(self):
        writer = Recorder(self.publish)
        writer.start()
        broken = await writer.open(self.run_row)
        other = await database.write(make_held_run, await database.read(lambda: self.run_row.owner))
        good = await writer.open(other)
        with self.assertLogs("runs.streaming.recorder", "ERROR"):
            await broken.append([Draft(0, STREAM_CODES["stdout"], "x", None, "never")])
            broken.start_clock(1.0)
            with self.assertRaises(LeaseLost):
                await broken.flush()
        await good.append(drafts("goes on"))
        await good.flush()
        await writer.close()
        self.assertEqual([c.text for c in await database.read(self.stored, other)], ["goes on"])

    @override_settings(OUTPUT_CAP_BYTES=64 * 1024)
    async def test_beyond_the_cap_the_middle_goes_and_the_recording_says_so(self):
        async with self.recording() as recording:
            for n in range(120):
                await recording.append(drafts(f"{n:04}" * 256))
                await recording.flush()
        found = await database.read(self.stored)
        run = await Run.objects.aget(pk=self.run_row.pk)
        seqs = [c.seq for c in found]
        hole = run.dropped
        self.assertEqual(
            seqs, [*range(1, hole["from_seq"]), *range(hole["to_seq"] + 1, run.last_seq + 1)]
        )
        self.assertEqual(hole["chunks"], hole["to_seq"] - hole["from_seq"] + 1)
        self.assertLessEqual(sum(len(c.text) for c in found), 66 * 1024)
        self.assertTrue(found[-1].text.startswith("0119"))
        # Every seq was published once, those included that were dropped later.
        published = [n for _, b in self.published for n in range(b.first_seq, b.last_seq + 1)]
        self.assertEqual(published, list(range(1, run.last_seq + 1)))
