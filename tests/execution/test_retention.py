"""The executor and the workers delete what is due by themselves."""

import time
from unittest import mock, skipUnless

from django.conf import settings

from runs.execution import executor
from runs.models import Chunk, Deletion, RetentionRule, Run
from runs.streaming import chain, database
from runs.streaming.deletion import decide, delete_run, steps
from tests.streaming.test_retention import make_old, make_rule

from .helpers import CarryingTestCase

if settings.IS_SHARED:
    from runs.execution import jobs


class HousekeepingTests(CarryingTestCase):
    def tearDown(self):
        RetentionRule.objects.all().delete()

    @skipUnless(not settings.IS_SHARED, "of the embedded executor")
    @mock.patch.object(executor, "RETAIN_SECONDS", 0.05)
    async def test_the_embedded_executor_does_it_while_it_carries(self):
        old = await database.write(make_old, self.alice, 15)
        async with self.executing():
            run = await self.running(await self.submit("for i in $(seq 1 1000); do echo $i; done"))
            await database.write(make_rule, 5, 10)
            deadline = time.monotonic() + 20
            while await Run.objects.filter(pk=old.pk).aexists():
                self.assertLess(time.monotonic(), deadline)
            run = await self.ended(run)
        self.assertEqual(await self.text(run), "".join(f"{n}\n" for n in range(1, 1001)))
        self.assertEqual((await Deletion.objects.aget()).by, "retention")

    @skipUnless(settings.IS_SHARED, "procrastinate is used with PostgreSQL")
    async def test_the_periodic_task_of_workers_does_it(self):
        await database.write(make_old, self.alice, 15)
        await database.write(make_rule, 10)
        await jobs.delete_what_is_due(0)
        self.assertFalse(await Chunk.objects.aexists())
        self.assertEqual((await Deletion.objects.aget()).what, "output")

    async def test_what_is_deleted_while_it_is_verified_is_not_missing(self):
        for record in (False, True):
            with self.subTest(record=record):
                run = await self.finished()
                await database.write(self.deleted_meanwhile, run, record)

    async def finished(self) -> Run:
        async with self.executing():
            return await self.carry("echo one; echo two")

    def deleted_meanwhile(self, run: Run, record: bool):
        real = chain._verify

        def verify(given):
            if given is run:
                if record:
                    delete_run(run, "alice", "Test.")
                else:
                    empty(run)
            return real(given)

        with mock.patch.object(chain, "_verify", verify):
            finding = chain.verify(run)
        self.assertTrue(finding.is_intact, finding.sentence)
        self.assertIn("by alice: Test." if record else "as is known", finding.sentence)


def empty(run: Run) -> None:
    for _ in steps(decide(run, Deletion.OUTPUT, "alice", "Test.")):
        pass
