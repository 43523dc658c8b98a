"""One of several executors: what it makes of leases when answers are late or lost."""

import asyncio
import threading
from contextlib import suppress
from unittest import mock

from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import SimpleTestCase, override_settings

from runs.execution import dispatch, recovery
from runs.execution.backends import make_backend
from runs.execution.carrier import Carrier
from runs.execution.executor import Executor
from runs.execution.recovery import Contact
from runs.models import Run, Status
from runs.streaming import database
from runs.streaming.recorder import Recorder
from tests.factories import make_run

from .helpers import CarryingTestCase


class ContactTests(SimpleTestCase):
    """A lease of 8 s, heartbeats each 2 s."""

    def setUp(self):
        self.now = 100.0
        clock = mock.patch.object(recovery.time, "monotonic", side_effect=lambda: self.now)
        self.enterContext(clock)
        self.contact = Contact(8)

    def beat_after(self, seconds: float) -> bool:
        self.now += seconds
        self.contact.made()
        return self.contact.may_judge

    def test_whose_heartbeats_succeed_may_judge(self):
        self.assertEqual([self.beat_after(2) for _ in range(5)], [True] * 5)

    def test_nobody_judges_in_an_outage(self):
        self.now += 4.1
        self.assertFalse(self.contact.may_judge)

    def test_nor_for_a_lease_after_it(self):
        self.assertFalse(self.beat_after(4.1))
        self.assertEqual([self.beat_after(2) for _ in range(4)], [False, False, False, True])


@override_settings(LEASE_SECONDS=2)
class SharedExecutorTests(CarryingTestCase):
    async def start(self) -> Executor:
        executor = Executor(make_backend(), "me", 10, is_shared=True)
        await executor.start()
        return executor

    async def test_a_run_whose_claim_got_no_answer_is_carried_all_the_same(self):
        run = await database.write(make_run, self.alice, Status.QUEUED)
        await database.write(Run.objects.claim, run.pk, "me", 2)
        executor = await self.start()
        try:
            with self.assertLogs("runs.execution", "WARNING") as logs:
                run = await self.ended(run)
            self.assertEqual(run.status, "succeeded", run.error)
            self.assertIn("nobody carries it", logs.output[0])
        finally:
            await executor.stop("The test is over.")

    async def test_a_claim_that_nobody_waits_for_any_more_is_let_go_of(self):
        """As a job's is that is aborted by SIGTERM while the database answers."""
        executor = await self.start()
        claiming, go_on = threading.Event(), threading.Event()
        claim_next = Run.objects.claim_next

        def claim_late(*args):
            claiming.set()
            self.assertTrue(go_on.wait(10))
            return claim_next(*args)

        with mock.patch.object(Run.objects, "claim_next", claim_late, create=True):
            job = asyncio.create_task(executor.carry_next())
            self.assertTrue(await asyncio.to_thread(claiming.wait, 10))
            # Not by the writer, which is held up.
            run = await sync_to_async(make_run)(self.alice, Status.QUEUED)
            executor.claim_no_more()
            job.cancel()
            draining = asyncio.create_task(executor.drain(0, "The test is over."))
            go_on.set()
            await draining
        run = await Run.objects.aget(pk=run.pk)
        self.assertEqual((run.status, run.executor, run.epoch), ("queued", "", 1))

    async def test_what_has_begun_is_let_go_of_as_running(self):
        run = await database.write(make_run, self.alice, Status.QUEUED)
        run = await database.write(Run.objects.claim, run.pk, "me", 30)
        self.assertTrue(await database.write(Run.objects.begin, run, "sandbox"))
        self.assertEqual(await database.read(Run.objects.starting_at, "me"), set())
        self.assertFalse(await database.write(Run.objects.release, run.pk, "other"))
        self.assertTrue(await database.write(Run.objects.release, run.pk, "me"))
        taken = await database.write(Run.objects.claim, run.pk, "other", 30)
        self.assertEqual((taken.status, taken.executor, taken.epoch), ("running", "other", 2))

    async def test_who_froze_in_a_claim_has_not_claimed_what_is_anothers_now(self):
        run = await database.write(make_run, self.alice, Status.QUEUED)
        claimed = await database.write(self._claim_and_freeze, run.pk)
        self.assertIsNone(claimed)

    def _claim_and_freeze(self, run_pk: int):
        """The lease runs out, and another takes the run, before the claim's last query."""
        taken = Run.objects.filter

        def filter_late(*args, **kwargs):
            if kwargs.get("executor") == "sleeper":
                Run.objects.claim(run_pk, "other", 30)
            return taken(*args, **kwargs)

        query = Run.objects.get_queryset()
        with mock.patch.object(query, "filter", filter_late):
            return query.claim(run_pk, "sleeper", -1)


class Elsewhere:
    """A backend and its only sandbox, which goes on at another executor meanwhile."""

    name, confined, can_attach, open_count, id = "local", True, True, 1, "sandbox"

    def __init__(self, run_pk: int):
        self._run_pk = run_pk
        self.calls: list[str] = []

    async def create(self, launch, on_wait=None):
        return self

    async def run(self, output, on_exit) -> list[int]:
        taken = Run.objects.filter(pk=self._run_pk)
        await taken.aupdate(epoch=9, executor="other")
        return [0]

    async def leave(self) -> None:
        self.calls.append("leave")

    async def close(self) -> None:
        self.calls.append("close")


class SandboxElsewhereTests(CarryingTestCase):
    async def test_a_sandbox_that_another_goes_on_with_is_left_alone(self):
        run = await database.write(make_run, self.alice, Status.QUEUED)
        run = await database.write(Run.objects.claim, run.pk, "me", 30)
        backend, recorder = Elsewhere(run.pk), Recorder(lambda run_pk, batches: None)
        recorder.start()
        with self.assertLogs("runs.execution", "WARNING"):
            await Carrier(run, backend, recorder).carry()
        await recorder.close()
        self.assertEqual(backend.calls, ["leave"])
        self.assertEqual((await Run.objects.aget(pk=run.pk)).status, "running")


class StopTests(CarryingTestCase):
    async def test_a_run_that_was_claimed_too_late_waits_for_the_next_start(self):
        with mock.patch.object(dispatch.hints, "post") as post:
            async with self.executing() as executor:
                executor.claim_no_more()
                run = await database.write(make_run, self.alice, Status.QUEUED)
                await database.write(Run.objects.claim, run.pk, executor.name, 30)
        post.assert_called_once_with(dispatch.WORKERS, {"type": "released"})
        run = await Run.objects.aget(pk=run.pk)
        self.assertEqual((run.status, run.executor), ("queued", ""))
        async with self.executing():
            run = await self.ended(run)
        self.assertEqual((run.status, run.epoch), ("succeeded", 2))

    async def test_one_that_was_cancelled_before_it_was_let_go_of_is_not_begun(self):
        run = await database.write(make_run, self.alice, Status.QUEUED)
        await database.write(Run.objects.claim, run.pk, "other", 30)
        self.assertTrue(await database.write(dispatch.cancel, run))
        await database.write(Run.objects.release, run.pk, "other")
        async with self.executing():
            run = await self.ended(run)
        self.assertEqual((run.status, run.error), ("cancelled", "The run was cancelled."))
        self.assertIsNone(run.started_at)
        self.assertEqual(await self.text(run), "")

    async def test_a_worker_that_hears_of_a_released_run_looks_at_once(self):
        async with self.executing() as executor:
            with mock.patch.object(executor, "wake_from_thread") as wake:
                dispatch._hear({"type": "released"})
        wake.assert_called_once_with()


class CancelTests(SimpleTestCase):
    async def test_what_swallows_that_it_is_cancelled_is_cancelled_again(self):
        async def stubborn() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            await asyncio.sleep(60)

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        with mock.patch.object(dispatch, "CANCEL_AGAIN_SECONDS", 0.01):
            async with asyncio.timeout(10):
                await dispatch._cancelled([task])
        self.assertTrue(task.cancelled())


class WishTests(CarryingTestCase):
    """What reaches a run at another process goes by a hint; looking would take a second."""

    async def test_a_cancel_is_told_to_all_workers(self):
        run = await database.write(make_run, self.alice, Status.RUNNING)
        with mock.patch.object(dispatch.hints, "post") as post:
            self.assertTrue(await database.write(dispatch.cancel, run))
        post.assert_any_call(dispatch.WORKERS, {"type": "cancel", "run": run.pk})

    async def test_a_worker_that_is_told_of_a_cancel_ends_the_run(self):
        async with self.executing():
            run = await self.running(await self.submit("sleep 600"))
            dispatch._hear({"type": "cancel", "run": run.pk})
            run = await self.ended(run)
        self.assertEqual((run.status, run.error), ("cancelled", "The run was cancelled."))


class InsistTests(CarryingTestCase):
    async def test_a_run_that_ends_while_the_database_is_away_has_its_end(self):
        async with self.executing():
            run = await self.submit("sleep 0.2; exit 3")
            await self.running(run)
            finish, failures = Run.objects.finish, [OperationalError("away")] * 2

            def fails_first(*args, **kwargs):
                if failures:
                    raise failures.pop()
                return finish(*args, **kwargs)

            with mock.patch.object(Run.objects, "finish", fails_first, create=True):
                run = await self.ended(run)
            self.assertEqual((run.status, run.exit_code, failures), ("failed", 3, []))

    async def test_an_end_whose_answer_was_lost_is_not_taken_for_anothers(self):
        run = await database.write(make_run, self.alice, Status.QUEUED)
        run = await database.write(Run.objects.claim, run.pk, "me", 30)
        for _ in range(2):
            self.assertTrue(await database.write(Run.objects.finish, run, Status.SUCCEEDED))
        self.assertFalse(await database.write(Run.objects.finish, run, Status.FAILED))

    async def test_insisting_goes_on_until_it_is_done(self):
        tries = []

        def away_twice():
            tries.append(1)
            if len(tries) < 3:
                raise OperationalError("the database system is shutting down")
            return "done"

        with self.assertLogs("runs.streaming.database", "WARNING"):
            async with asyncio.timeout(10):
                self.assertEqual(await database.insist(away_twice), "done")
        self.assertEqual(len(tries), 3)
