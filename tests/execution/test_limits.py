"""Limits that hold: at many launches at once, and for runs that are going already."""

import threading
from collections import Counter

from django.db import connections
from django.test import Client, TransactionTestCase

from runs.models import ApiToken, Limit, LimitReached, Run, Usage
from tests.people import make_user

from .helpers import CarryingTestCase

THREADS, EACH = 20, 5


class RaceTests(TransactionTestCase):
    def setUp(self):
        self.alice = make_user("alice")

    def launch_many(self) -> Counter:
        """How often each status came back of 100 POSTs at once."""
        headers = {"Authorization": f"Bearer {ApiToken.objects.make(self.alice, 'test')[1]}"}
        start, answers = threading.Barrier(THREADS), []

        def launch():
            client = Client()
            start.wait()
            for _ in range(EACH):
                sent = {"kind": "command", "program": "true"}
                answer = client.post("/api/runs", sent, "application/json", headers=headers)
                answers.append(answer.status_code)
            connections.close_all()

        threads = [threading.Thread(target=launch) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return Counter(answers)

    def test_of_a_hundred_launches_at_once_as_many_go_through_as_there_is_room_for(self):
        for name in ("launches_per_hour", "runs_at_once"):
            Limit.objects.all().delete()
            Run.objects.all().delete()
            Usage.objects.all().delete()
            Limit.objects.create(user=self.alice, **{name: 10})
            with self.subTest(name):
                self.assertEqual(self.launch_many(), {201: 10, 429: 90})
                self.assertEqual(Run.objects.count(), 10)

    def test_without_a_limit_each_of_them_is_counted(self):
        self.assertEqual(self.launch_many(), {201: 100})
        self.assertEqual(sum(Usage.objects.values_list("launches", flat=True)), 100)


class GoingTests(CarryingTestCase):
    FLOOD = "while true; do echo 0123456789012345678901234567890123456789; sleep 0.01; done"

    async def test_a_run_that_prints_beyond_the_day_is_ended_and_says_so(self):
        await Limit.objects.acreate(user=self.alice, output_bytes_per_day=500)
        async with self.executing():
            silent = await self.running(await self.submit("sleep 60", timeout=60))
            run = await self.ended(await self.submit(self.FLOOD, timeout=60))
            self.assertEqual(run.status, "failed")
            self.assertIn("The run was ended. Your runs have printed", run.error)
            self.assertIn("500\xa0bytes is your limit. There is room again at", run.error)
            self.assertIn(run.error, await self.text(run, "s"))
            # Whoever prints nothing uses nothing.
            self.assertEqual((await Run.objects.aget(pk=silent.pk)).status, "running")
            with self.assertRaisesMessage(LimitReached, "printed"):
                await self.submit("true")
        run = await Run.objects.aget(pk=run.pk)
        self.assertEqual(run.output_counted, run.output_bytes)
        used = [size async for size in Usage.objects.values_list("output_bytes", flat=True)]
        silent = await Run.objects.aget(pk=silent.pk)
        self.assertEqual(sum(used), run.output_bytes + silent.output_bytes)

    async def test_the_same_of_what_is_stored(self):
        await Limit.objects.acreate(stored_bytes=500)
        async with self.executing():
            run = await self.ended(await self.submit(self.FLOOD, timeout=60))
        self.assertEqual(run.status, "failed")
        self.assertIn("of output is kept of your runs", run.error)
        self.assertEqual(run.stored_bytes, run.output_bytes)

    async def test_a_short_run_is_counted_at_its_end(self):
        async with self.executing():
            run = await self.carry("echo hello")
        self.assertEqual((run.output_counted, run.stored_bytes), (6, 6))
        usage = await Usage.objects.aget()
        self.assertEqual((usage.launches, usage.output_bytes), (1, 6))
