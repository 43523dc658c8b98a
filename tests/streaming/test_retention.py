"""Retention: what is due by which rule, and deleting it while others record."""

import asyncio
import time
from datetime import timedelta
from io import StringIO
from unittest import mock, skipUnless

from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.test import TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from runs import access, signing
from runs.access import AccessEvent, Action
from runs.models import Chunk, Deletion, Hold, RetentionRule, Run, Status
from runs.models.statement import FIRST
from runs.streaming import database, deletion, forgetting, retention
from runs.streaming.deletion import Refused, decide, delete_run, steps
from runs.streaming.exports import export
from runs.streaming.recorder import Recorder
from runs.streaming.retention import all_due, forecast, retain
from tests.factories import make_chunks, make_run
from tests.people import make_user

from .helpers import drafts, finish, make_held_run, read_to_end


def make_old(owner, days: float, title="old", chunks=("one\n", "two\n"), **fields) -> Run:
    """A run that ended so many days ago."""
    ended = timezone.now() - timedelta(days=days)
    return make_run(owner, chunks=chunks, finished_at=ended, title=title, **fields)


def make_rule(output=None, record=None, kind="", group=None) -> RetentionRule:
    return RetentionRule.objects.create(
        kind=kind, group=group, output_days=output, record_days=record
    )


class RuleTests(TestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.groups = [Group.objects.create(name=name) for name in ("Legal", "Students")]

    def due(self, what=Deletion.OUTPUT) -> dict[str, str]:
        """The rules by which runs are due, by the runs' titles."""
        return {run.title: due.rule for due in all_due() if due.what == what for run in due.runs}

    def test_without_rules_everything_is_kept(self):
        make_old(self.alice, 10_000)
        self.assertEqual((self.due(), self.due(Deletion.RECORD)), ({}, {}))

    def test_output_and_record_have_windows_of_their_own(self):
        make_rule(output=10, record=20)
        for days in (9, 11, 19, 21):
            make_old(self.alice, days, f"{days}")
        self.assertEqual(set(self.due()), {"11", "19", "21"})
        self.assertEqual(set(self.due(Deletion.RECORD)), {"21"})

    def test_output_without_a_window_goes_with_its_record(self):
        make_rule(record=20)
        make_old(self.alice, 21)
        self.assertEqual((set(self.due()), set(self.due(Deletion.RECORD))), ({"old"}, {"old"}))

    def test_a_window_beyond_all_dates_keeps_and_stops_no_other_rule(self):
        make_rule(output=10, record=2_000_000_000)
        make_old(self.alice, 11)
        self.assertEqual((set(self.due()), self.due(Deletion.RECORD)), ({"old"}, {}))

    def test_only_runs_that_ended_and_have_output(self):
        make_rule(output=10)
        make_old(self.alice, 11, "silent", chunks=())
        for status in (Status.QUEUED, Status.STARTING, Status.RUNNING):
            run = make_run(self.alice, status, ["x"], title=str(status))
            Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(days=99))
        self.assertEqual(self.due(), {})

    def test_the_most_specific_rule_holds_even_if_it_keeps_for_ever(self):
        legal, _ = self.groups
        self.alice.groups.add(legal)
        rules = [
            make_rule(output=10),
            make_rule(output=None, kind="python"),
            make_rule(output=10, group=legal),
            make_rule(output=None, kind="python", group=legal),
        ]
        bob = make_user("bob")
        for owner in (self.alice, bob):
            for kind in ("command", "python"):
                make_old(owner, 11, f"{owner} {kind}", kind=kind)
        # Each rule in its turn is the one of its run.
        self.assertEqual(
            self.due(), {"alice command": "every run of Legal", "bob command": "every run"}
        )
        RetentionRule.objects.filter(pk=rules[3].pk).update(output_days=10)
        self.assertEqual(self.due()["alice python"], "python runs of Legal")
        RetentionRule.objects.filter(pk=rules[3].pk).delete()
        self.assertEqual(self.due()["alice python"], "every run of Legal")
        RetentionRule.objects.filter(pk=rules[2].pk).delete()
        self.assertEqual(self.due(), {"bob command": "every run", "alice command": "every run"})
        RetentionRule.objects.filter(pk=rules[1].pk).delete()
        self.assertEqual(len(self.due()), 4)

    def test_of_several_groups_the_longest_time_holds(self):
        self.alice.groups.set(self.groups)
        legal, students = self.groups
        short, long = make_rule(output=5, group=students), make_rule(output=20, group=legal)
        make_old(self.alice, 11)
        self.assertEqual(self.due(), {})
        RetentionRule.objects.filter(pk=long.pk).update(output_days=10)
        self.assertEqual(self.due(), {"old": "every run of Legal"})
        RetentionRule.objects.filter(pk=long.pk).update(output_days=None)
        self.assertEqual(self.due(), {})
        RetentionRule.objects.filter(pk__in=[short.pk, long.pk]).update(output_days=7)
        self.assertEqual(len(self.due()), 1)

    def test_of_deleted_accounts_the_longest_time_that_might_have_held(self):
        legal, students = self.groups
        make_old(self.alice, 11)
        self.alice.delete()
        rule = make_rule(output=5, group=students)
        self.assertEqual(self.due(), {})  # it may have been of somebody in no group
        make_rule(output=5)
        self.assertEqual(self.due(), {"old": "command runs of deleted accounts"})
        make_rule(output=20, kind="python", group=legal)
        self.assertEqual(len(self.due()), 1)
        make_rule(output=20, kind="command", group=legal)
        self.assertEqual(self.due(), {})
        RetentionRule.objects.filter(pk=rule.pk).update(output_days=30)
        self.assertEqual(self.due(), {})

    def test_a_rule_is_unique_and_of_a_day_at_least_and_a_record_outlives_its_output(self):
        make_rule(output=5)
        make_rule(output=5, group=self.groups[0])
        for wrong in (
            {"output": 6},
            {"output": 6, "group": self.groups[0]},
            {"output": 0, "kind": "python"},
            {"output": 6, "record": 5, "kind": "python"},
        ):
            with self.subTest(wrong), self.assertRaises(IntegrityError), transaction.atomic():
                make_rule(**wrong)

    def test_a_group_with_a_rule_stays(self):
        make_rule(output=5, group=self.groups[0])
        with self.assertRaises(models.ProtectedError):
            self.groups[0].delete()

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's plan")
    def test_what_is_due_is_found_by_an_index(self):
        make_rule(output=5, record=10)
        for due in (due for due in all_due() if due.rule == "every run"):
            sql, params = due.unheld.order_by("finished_at").query.sql_with_params()
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                plan = " ".join(row[-1] for row in cursor.fetchall())
            self.assertIn(f"run_{due.what}_retention", plan)


class ForecastTests(TestCase):
    def test_it_counts_by_rule_and_deletes_nothing(self):
        alice, bob = make_user("alice"), make_user("bob")
        make_rule(output=10, record=20, kind="python")
        make_rule(output=5)
        make_old(alice, 30, kind="python", output_bytes=100)
        make_old(alice, 15, kind="python", output_bytes=1000, dropped={"bytes": 400})
        make_old(alice, 6, output_bytes=50)
        make_old(bob, 6)
        Hold.place(user=bob, reason="A case.", by="root")
        before = list(Run.objects.order_by("pk").values())
        told = [(t.what, t.rule, t.runs, t.bytes, t.held) for t in forecast()]
        self.assertEqual(
            told,
            [("record", "python runs", 1, 100, 0), ("output", "python runs", 1, 600, 0),
             ("output", "every run", 1, 50, 1)],
        )  # fmt: skip
        out = StringIO()
        call_command("retain", "--dry-run", stdout=out)
        self.assertIn(
            "python runs, record and output after 20 days: 1 run would be deleted", out.getvalue()
        )
        self.assertIn("1 under a legal hold stays.", out.getvalue())
        self.assertEqual(list(Run.objects.order_by("pk").values()), before)
        self.assertEqual(Chunk.objects.count(), 8)
        self.assertFalse(Deletion.objects.exists() or AccessEvent.objects.exists())


class DeletionCase(TransactionTestCase):
    def setUp(self):
        self.alice = make_user("alice")

    def tearDown(self):
        # What was recorded holds for everybody's rules.
        RetentionRule.objects.all().delete()

    async def recorded(self, *texts) -> Run:
        """A run that ended 15 days ago, with its chain and signature."""
        run = await database.write(make_held_run, self.alice)
        writer = Recorder(lambda run_pk, batches: None)
        writer.start()
        try:
            recording = await writer.open(run)
            await recording.append(drafts(*texts))
            await recording.flush()
        finally:
            await writer.close()
        ended = timezone.now() - timedelta(days=15)
        with mock.patch("runs.models.run_changes.Now", return_value=ended):
            await finish(run)
        return await Run.objects.aget(pk=run.pk)

    async def fresh(self, run) -> Run | None:
        return await Run.objects.filter(pk=run.pk).afirst()

    async def chunks(self, run) -> int:
        return await Chunk.objects.of(run.pk).acount()


class RetainTests(DeletionCase):
    async def test_output_goes_and_the_record_stays_with_head_and_reason(self):
        run = await self.recorded("one\n", "two\n")
        await database.write(make_rule, 10)
        (told,) = await retain()
        self.assertEqual((told.what, told.runs, told.bytes), ("output", 1, 8))
        self.assertEqual(await self.chunks(run), 0)
        after = await self.fresh(run)
        self.assertEqual(
            (after.chain, after.signature, after.last_seq, after.last_line),
            (run.chain, run.signature, 2, ""),
        )
        self.assertEqual(after.output_deleted["by"], "retention")
        self.assertIn("The rule for every run keeps output for 10 days.", after.output_deletion)
        known = await Deletion.objects.aget()
        self.assertTrue(known.is_ours() and known.is_signed())
        self.assertEqual((known.chain, known.what), (run.chain, "output"))
        self.assertIsNotNone(known.done_at)
        event = await AccessEvent.objects.aget(action="retention")
        self.assertEqual((event.actor_name, event.subject), ("retention", "every run"))
        self.assertEqual(event.detail, {"deleted": "output", "runs": 1, "bytes": 8, "days": 10})
        self.assertEqual(await retain(), [])

    async def test_the_record_goes_and_stays_known(self):
        run = await self.recorded("one\n", "two\n")
        again = await database.write(lambda: make_old(self.alice, 1, rerun_of=run))
        await database.write(make_rule, 5, 10)
        (told,) = await retain()
        self.assertEqual((told.what, told.runs), ("record", 1))
        self.assertEqual((await self.fresh(run), await self.chunks(run)), (None, 0))
        self.assertIsNone((await self.fresh(again)).rerun_of_id)
        known = await Deletion.objects.aget()
        self.assertEqual(
            (known.public_id, known.owner_name, known.title, known.chain, known.last_seq),
            (run.public_id, "alice", run.title, run.chain, 2),
        )
        self.assertTrue(known.is_ours() and known.is_signed())
        # Not what it ran, which may be as private as what that printed.
        self.assertNotIn(run.program, str(vars(known).values()).replace(run.title, ""))

    async def test_nobody_without_the_key_makes_or_changes_a_deletion(self):
        await self.recorded("one\n")
        await database.write(make_rule, 5, 10)
        await retain()
        known = await Deletion.objects.aget()
        for name, value in (
            ("by", "somebody"), ("reason", "other"), ("last_seq", 0), ("chain", "0" * 64),
            ("at", timezone.now()), ("what", "output"), ("owner_name", "bob"), ("title", "x"),
            ("output_bytes", 1), ("signature", "x"), ("program_sha256", "0" * 64),
        ):  # fmt: skip
            with self.subTest(name):
                changed = await Deletion.objects.aget()
                setattr(changed, name, value)
                self.assertFalse(changed.is_ours())
        self.assertTrue(known.is_ours())

    async def test_a_signature_of_the_first_version_is_made_anew(self):
        run = await self.recorded("one\n")
        first = signing.sign(run.statement(FIRST))
        await Run.objects.filter(pk=run.pk).aupdate(signature=first)
        self.assertTrue((await self.fresh(run)).is_signed())
        await database.write(make_rule, 5, 10)
        await retain()
        self.assertTrue((await Deletion.objects.aget()).is_signed())

    async def test_a_hold_beats_every_rule(self):
        held, users = await self.recorded("one\n"), await self.recorded("two\n")
        bob = await database.write(make_user, "bob")
        await Run.objects.filter(pk=users.pk).aupdate(owner=bob)
        await database.write(make_rule, 5, 10)
        await database.write(lambda: Hold.place(run=held, reason="A case.", by="root"))
        await database.write(lambda: Hold.place(user=bob, reason="A case.", by="root"))
        self.assertEqual(await retain(), [])
        self.assertEqual((await self.chunks(held), await self.chunks(users)), (1, 1))
        for delete in (decide, None):
            with self.assertRaisesMessage(Refused, "legal hold"):
                if delete:
                    await database.write(delete, held, "output", "x", "y")
                else:
                    await database.write(delete_run, users, "x", "y")
        with self.assertRaises(models.ProtectedError):
            await database.write(held.delete)
        with self.assertRaises(models.ProtectedError):
            await database.write(bob.delete)
        self.assertFalse(await Deletion.objects.aexists())
        for hold in await database.read(lambda: list(Hold.objects.active())):
            self.assertTrue(await database.write(hold.release, "root", "Over."))
            self.assertFalse(await database.write(hold.release, "root", "Over."))
        self.assertEqual((await retain())[0].runs, 2)
        await database.write(bob.delete)
        kept = await database.read(lambda: [str(hold) for hold in Hold.objects.order_by("pk")])
        self.assertEqual(kept, [f"run {held.public_id}", "all runs of bob"])

    async def test_a_hold_that_is_placed_meanwhile_keeps_what_is_left(self):
        run = await database.write(make_old, self.alice, 15, "old", ["x\n"] * 500)
        await database.write(make_rule, 10)
        real = deletion._delete_some

        def then_held(told, size, before):
            least = real(told, 100, before)
            if not Hold.objects.exists():
                Hold.place(run=run, reason="A case.", by="root")
            return least

        with mock.patch.object(deletion, "_delete_some", then_held):
            self.assertEqual(await retain(), [])
        self.assertEqual(await self.chunks(run), 400)
        # What is left can be read, and the run says that the rest is deleted.
        seqs, _ = await read_to_end(run.pk)
        self.assertEqual(seqs, list(range(1, 401)))
        text = await database.read(lambda: b"".join(export(Run.objects.get(), "txt")).decode())
        self.assertEqual(text.count("x\n"), 400)
        self.assertRegex(text, r"\[streamsite\] The output was deleted on .*10 days\.\n$")
        await retain()
        self.assertEqual(await self.chunks(run), 400)
        await database.write(lambda: Hold.objects.get().release("root", "Over."))
        await retain()
        self.assertEqual(await self.chunks(run), 0)
        self.assertIsNotNone((await Deletion.objects.aget()).done_at)

    async def test_what_was_interrupted_is_gone_on_with(self):
        for what in (Deletion.OUTPUT, Deletion.RECORD):
            with self.subTest(what):
                run = await database.write(make_old, self.alice, 1, "old", ["x\n"] * 500)
                told = await database.write(decide, run, what, "alice", "Test.")
                todo = steps(told)
                with mock.patch.object(deletion, "SMALLEST_STEP", 200):
                    await database.write(next, todo)
                self.assertEqual(await self.chunks(run), 300)
                self.assertIn("by alice: Test.", (await self.fresh(run)).output_deletion)
                await retain()
                self.assertEqual(await self.chunks(run), 0)
                left = await self.fresh(run)
                self.assertEqual(left is None, what == Deletion.RECORD)

    async def test_where_every_step_takes_long_there_are_not_ever_more_of_them(self):
        run = await database.write(make_old, self.alice, 15, "old", ["x\n"] * 2000)
        told = await database.write(decide, run, Deletion.OUTPUT, "alice", "Test.")
        with mock.patch.object(deletion, "STEP_SECONDS", 0):
            self.assertEqual(await database.write(lambda: len(list(steps(told)))), 4)
        self.assertEqual(await self.chunks(run), 0)

    async def test_two_at_once_do_no_harm(self):
        runs = [await self.recorded("one\n", "two\n") for _ in range(5)]
        await database.write(make_rule, 5, 10)
        told = await asyncio.gather(retain(), retain(), retain())
        self.assertEqual(await Run.objects.filter(pk__in=[run.pk for run in runs]).acount(), 0)
        self.assertEqual(await Deletion.objects.acount(), 5)
        self.assertFalse(await Chunk.objects.aexists())
        self.assertTrue(any(told))

    async def test_a_viewer_gets_the_end_with_the_reason_and_waits_for_nothing(self):
        run = await self.recorded("one\n", "two\n")
        await database.write(make_rule, 10)
        await retain()
        self.assertEqual(await read_to_end(run.pk), ([], ""))

    async def test_recording_goes_on_beside_a_large_deletion(self):
        many = await database.write(make_old, self.alice, 15, "many", ())
        await database.write(make_chunks, many, ["a line of output\n"] * 60_000)
        await Run.objects.filter(pk=many.pk).aupdate(last_seq=60_000)
        await database.write(make_rule, 10)
        live = await database.write(make_held_run, self.alice)
        writer, waits = Recorder(lambda run_pk, batches: None), []
        writer.start()
        recording = await writer.open(live)
        retaining = asyncio.ensure_future(retain())
        while not retaining.done():
            began = time.monotonic()
            await recording.append(drafts("live\n"))
            await recording.flush()
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.001)
        await retaining
        await writer.close()
        self.assertEqual(await self.chunks(many), 0)
        self.assertEqual(await self.chunks(live), len(waits))
        self.assertGreater(len(waits), 5)
        # Each step takes about 0.02 s; the machine may be busy with others.
        self.assertLess(sorted(waits)[len(waits) // 2], 0.5, waits)

    @override_settings(ACCESS_DAYS=30)
    async def test_old_access_events_go_where_a_setting_says_so(self):
        held = await database.write(make_old, self.alice, 1)
        bob = await database.write(make_user, "bob")
        await database.write(lambda: Hold.place(run=held, reason="A case.", by="root"))
        await database.write(lambda: Hold.place(user=bob, reason="A case.", by="root"))
        await database.write(self.note_all, held, bob)
        with mock.patch.object(forgetting, "STEP", 3):
            await retain()
        left = [e.subject async for e in AccessEvent.objects.order_by("pk")]
        self.assertEqual(left, ["of a held run", "of a held user", "new", "access events"])
        event = await AccessEvent.objects.alatest("pk")
        self.assertEqual(event.detail, {"events": 10, "days": 30})
        with override_settings(ACCESS_DAYS=0):
            await AccessEvent.objects.aupdate(at=timezone.now() - timedelta(days=999))
            await retain()
        self.assertEqual(await AccessEvent.objects.acount(), 4)

    def note_all(self, held, bob):
        for number in range(10):
            access.note(Action.LOGIN, self.alice if number % 2 else None, subject=f"{number}")
        access.note(Action.VIEW, self.alice, run=held, subject="of a held run")
        access.note(Action.LOGIN, bob, subject="of a held user")
        AccessEvent.objects.update(at=timezone.now() - timedelta(days=31))
        access.note(Action.LOGIN, self.alice, subject="new")

    @skipUnless(connection.vendor == "sqlite", "PostgreSQL gives space back by itself")
    async def test_space_is_given_back(self):
        run = await database.write(make_old, self.alice, 15, "old", ["x" * 4000] * 1000)
        full = await database.read(retention._pragma, "page_count")
        await database.write(make_rule, 10)
        await retain()
        self.assertLess(await database.read(retention._pragma, "page_count"), full - 900)
        self.assertIsNotNone(await self.fresh(run))


@skipUnless(connection.vendor == "postgresql", "SQLite has one writer")
class LockTests(DeletionCase):
    def test_nothing_waits_for_a_hold_that_is_being_placed(self):
        run = make_old(self.alice, 15)
        told = decide(run, Deletion.OUTPUT, "x", "y")
        placing = connection.copy()
        try:
            with placing.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(
                    "INSERT INTO runs_hold (user_id, user_name, reason, placed_by, run_public_id, "
                    "released_by, release_reason) VALUES (%s, 'alice', 'x', 'root', '', '', '')",
                    [self.alice.pk],
                )
                todo = steps(told)
                began = time.monotonic()
                self.assertEqual(next(todo), deletion.STEP_SECONDS)
                self.assertLess(time.monotonic() - began, 5)
                cursor.execute("COMMIT")
            with self.assertRaises(Refused):
                next(todo)
        finally:
            placing.close()
        self.assertEqual(Chunk.objects.of(run.pk).count(), 2)
