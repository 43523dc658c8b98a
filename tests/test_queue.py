"""Procrastinate's rows on a real PostgreSQL: who may look at them, and what removes them.

STREAMSITE_TEST_DATABASE=postgresql makes the tests run on it.
"""

import datetime
from unittest import skipUnless

from django.conf import settings
from django.db import connection
from django.test import TestCase, TransactionTestCase

from runs.models import Run, Status
from runs.streaming import database
from tests.factories import make_run
from tests.people import make_people, make_user

if settings.IS_SHARED:
    from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob

    from runs.execution import jobs

ADMIN = "/admin/procrastinate/procrastinatejob/"


def execute(sql: str, *parameters) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def make_job(run_pk: int = 1) -> int:
    jobs.defer(run_pk)
    return ProcrastinateJob.objects.latest("pk").pk


@skipUnless(settings.IS_SHARED, "procrastinate is used with PostgreSQL")
class PagesTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.people = make_people()
        cls.job = make_job()
        execute("UPDATE procrastinate_jobs SET status = 'failed'")

    def get(self, who, path=""):
        self.client.force_login(getattr(self.people, who))
        return self.client.get(ADMIN + path)

    def rows(self) -> list:
        found = ProcrastinateJob.objects.values_list("pk", "status", "attempts", "abort_requested")
        return [*found, ProcrastinateEvent.objects.count()]

    def test_a_superuser_sees_jobs_and_what_happened_to_them(self):
        index = self.client.get("/admin/")
        self.client.force_login(self.people.root)
        index = self.client.get("/admin/").content.decode()
        self.assertIn(ADMIN, index)
        self.assertNotIn(ADMIN + "add/", index)
        listed = self.get("root").content.decode()
        self.assertIn("carry", listed)
        self.assertNotIn('name="action"', listed)
        page = self.get("root", f"{self.job}/change/")
        self.assertEqual(page.status_code, 200)
        for button in ("_save", "_addanother", "_continue", "deletelink"):
            self.assertNotIn(button, page.content.decode())
        self.assertEqual(self.get("root", f"{self.job}/history/").status_code, 200)

    def test_nobody_can_add_change_or_delete_one(self):
        before = self.rows()
        self.client.force_login(self.people.root)
        for path in ("add/", f"{self.job}/delete/"):
            for answer in (self.client.get(ADMIN + path), self.client.post(ADMIN + path, {})):
                self.assertEqual(answer.status_code, 403, path)
        event = ProcrastinateEvent.objects.first()
        change = {
            "status": "todo",
            "procrastinateevent_set-TOTAL_FORMS": 1,
            "procrastinateevent_set-INITIAL_FORMS": 1,
            "procrastinateevent_set-0-id": event.pk if event else "",
            "procrastinateevent_set-0-DELETE": "on",
            "_save": "Save",
        }
        answer = self.client.post(f"{ADMIN}{self.job}/change/", change)
        self.assertEqual(answer.status_code, 403)
        for action in ("retry", "cancel", "abort", "delete_selected"):
            self.client.post(ADMIN, {"action": action, "_selected_action": self.job})
        self.assertEqual(self.rows(), before)

    def test_an_auditor_has_runs_to_look_at_and_no_jobs(self):
        for who in ("auditor", "alice"):
            for path in ("", f"{self.job}/change/", "add/", f"{self.job}/delete/"):
                self.assertIn(self.get(who, path).status_code, (302, 403), (who, path))
        self.client.force_login(self.people.auditor)
        self.assertNotContains(self.client.get("/admin/"), ADMIN)


@skipUnless(settings.IS_SHARED, "procrastinate is used with PostgreSQL")
class CleaningTests(TransactionTestCase):
    """What clean_jobs(), which workers run every ten minutes, leaves and takes."""

    def setUp(self):
        execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")

    async def cleaned(self) -> dict[int, str]:
        await jobs.clean_jobs(None, 0)
        return await database.read(
            lambda: dict(ProcrastinateJob.objects.values_list("pk", "status"))
        )

    def make_ended(self, status: str, hours: float) -> int:
        job = make_job()
        execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", job)
        execute("UPDATE procrastinate_jobs SET status = %s::procrastinate_job_status "
                "WHERE id = %s", status, job)  # fmt: skip
        age = datetime.timedelta(hours=hours)
        execute("UPDATE procrastinate_events SET at = now() - %s WHERE job_id = %s", age, job)
        return job

    def make_worker(self, silent_seconds: float) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s) "
                "RETURNING id", [datetime.timedelta(seconds=silent_seconds)],
            )  # fmt: skip
            return cursor.fetchone()[0]

    def make_going(self, worker: int | None) -> int:
        job = make_job()
        execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE id = %s",
            worker, job,
        )  # fmt: skip
        return job

    async def test_jobs_that_are_over_are_kept_for_a_day(self):
        ends = ("succeeded", "failed", "cancelled", "aborted")

        def make(hours):
            return {self.make_ended(status, hours): status for status in ends}

        await database.write(make, jobs.KEPT_HOURS + 1)
        kept = await database.write(make, jobs.KEPT_HOURS - 1)
        waiting = await database.write(make_job)
        self.assertEqual(await self.cleaned(), {**kept, waiting: "todo"})

    async def test_a_dead_workers_job_ends_and_its_run_is_still_carried(self):
        def make():
            dead = self.make_worker(jobs.ALIVE_SECONDS + 10)
            alive = self.make_worker(1)
            run = make_run(make_user("alice"), Status.QUEUED)
            self.make_going(dead)
            self.make_going(None)  # its worker's row is gone already
            return run.pk, {self.make_going(alive): "doing"}

        run_pk, alive = await database.write(make)
        self.assertEqual(await self.cleaned(), alive)
        self.assertEqual(await database.read(jobs.where), "workers")
        # What the job only told of is on the run's row.
        run = await database.write(Run.objects.claim_next, "us", 30, {})
        self.assertEqual(run.pk, run_pk)

    async def test_rows_of_dead_workers_go_even_if_no_worker_starts_any_more(self):
        dead = await database.write(self.make_worker, jobs.ALIVE_SECONDS + 10)
        await self.cleaned()
        with self.assertNoLogs():
            self.assertEqual(await database.read(jobs.where), "none")
        count = "SELECT count(*) FROM procrastinate_workers WHERE id = %s"

        def left():
            with connection.cursor() as cursor:
                cursor.execute(count, [dead])
                return cursor.fetchone()[0]

        self.assertEqual(await database.read(left), 0)
