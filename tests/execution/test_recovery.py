"""What a dead executor leaves behind, and two that want the same runs."""

from django.conf import settings
from django.db.models.functions import Now

from runs.execution import dispatch
from runs.execution.lock import AlreadyExecuting, ExecutorLock
from runs.models import Run, Status
from runs.streaming import database
from tests.factories import make_run

from .helpers import CarryingTestCase


class RecoveryTests(CarryingTestCase):
    async def test_runs_of_a_dead_executor_end_as_lost_and_say_so(self):
        running = await database.write(make_run, self.alice, Status.RUNNING, ["so far\n"])
        starting = await database.write(make_run, self.alice, Status.STARTING)
        await Run.objects.filter(pk__in=[running.pk, starting.pk]).aupdate(
            executor="dead", epoch=1, env_sealed="sealed"
        )
        async with self.executing():
            running, starting = await self.ended(running), await self.ended(starting)
        self.assertEqual([running.status, starting.status], ["lost", "lost"])
        self.assertIn("The server ended", running.error)
        self.assertEqual((running.env_sealed, running.epoch), ("", 2))
        chunks = await self.chunks(running)
        self.assertEqual([(c.seq, c.stream) for c in chunks], [(1, "o"), (2, "s")])
        self.assertGreaterEqual(chunks[1].t, chunks[0].t)

    async def test_queued_runs_wait_for_the_next_executor(self):
        run = await self.submit("echo later")
        async with self.executing():
            run = await self.ended(run)
        self.assertEqual(run.status, "succeeded")

    async def test_a_second_executor_refuses_with_a_sentence(self):
        async with self.executing():
            with self.assertRaisesMessage(AlreadyExecuting, "Stop it first"):
                ExecutorLock(settings.DATA_DIR).acquire()
            self.assertTrue(ExecutorLock(settings.DATA_DIR).held_by_anyone())
        self.assertFalse(ExecutorLock(settings.DATA_DIR).held_by_anyone())
        self.assertEqual((await database.read(dispatch.describe))["executor"], "none")


class LeaseTests(CarryingTestCase):
    """The row is the truth about who executes a run."""

    def test_only_one_claims_a_run(self):
        run = make_run(self.alice, Status.QUEUED)
        first = Run.objects.claim(run.pk, "one", 30)
        self.assertEqual((first.status, first.epoch, first.executor), ("starting", 1, "one"))
        self.assertIsNone(Run.objects.claim(run.pk, "two", 30))

    def test_an_expired_lease_can_be_claimed_and_the_sleeper_changes_nothing(self):
        run = make_run(self.alice, Status.QUEUED)
        sleeper = Run.objects.claim(run.pk, "one", -1)
        owner = Run.objects.claim(run.pk, "two", 30)
        self.assertEqual(owner.epoch, 2)
        self.assertFalse(Run.objects.begin(sleeper, "local-1"))
        self.assertFalse(Run.objects.set_stalled(sleeper, True))
        self.assertFalse(Run.objects.finish(sleeper, Status.FAILED))
        self.assertTrue(Run.objects.begin(owner, "local-2"))

    def test_a_renewed_lease_cannot_be_claimed(self):
        run = make_run(self.alice, Status.QUEUED)
        Run.objects.claim(run.pk, "one", -1)
        self.assertEqual(Run.objects.renew("one", 30), {run.pk})
        self.assertIsNone(Run.objects.claim(run.pk, "two", 30))

    def test_a_final_status_never_changes(self):
        run = make_run(self.alice, Status.QUEUED)
        run = Run.objects.claim(run.pk, "one", 30)
        self.assertTrue(Run.objects.finish(run, Status.SUCCEEDED, exit_code=0))
        self.assertFalse(Run.objects.finish(run, Status.FAILED))
        self.assertFalse(Run.objects.begin(run, "local-1"))
        self.assertFalse(Run.objects.request_cancel(run))
        self.assertIsNone(Run.objects.claim(run.pk, "two", 30))
        Run.objects.filter(pk=run.pk).update(lease_until=Now())
        self.assertIsNone(Run.objects.take_over(run.pk, "two", 30))
        self.assertEqual(Run.objects.get(pk=run.pk).status, "succeeded")
