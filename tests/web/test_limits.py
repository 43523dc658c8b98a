"""Limits: what they refuse, with which words, and when there is room again."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.test import TestCase

from runs.models import Limit, Run, Status, Usage
from runs.models.limits import Allowed
from runs.streaming.deletion import delete_run
from tests.factories import make_run
from tests.people import make_user

from .api_case import ApiCase

ECHO = {"kind": "command", "program": "true"}
ANY = object()
NOON = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)


@contextmanager
def clock(moment: datetime):
    """What the database's clock says to whoever counts."""
    names = ("runs.models.usage.database_now", "runs.models.standing.database_now")
    with mock.patch(names[0], return_value=moment), mock.patch(names[1], return_value=moment):
        yield


def used_up(owner, **used) -> None:
    Usage.objects.add(owner.pk, **used)


class WhatCountsTests(TestCase):
    def setUp(self):
        self.ada, self.bert = make_user("ada"), make_user("bert")
        self.groups = [Group.objects.create(name=name) for name in ("few", "many")]

    def allowed(self, user) -> Allowed:
        return Limit.objects.of([self.ada.pk, self.bert.pk])[user.pk]

    def test_nothing_said_is_unlimited(self):
        self.assertEqual(self.allowed(self.ada), Allowed())
        self.assertFalse(self.allowed(self.ada).is_limited)

    def test_everybody_then_groups_then_oneself_each_limit_by_itself(self):
        Limit.objects.create(runs_at_once=1, launches_per_hour=2, stored_bytes=3)
        self.assertEqual(self.allowed(self.ada), Allowed(1, 2, None, 3))
        Limit.objects.create(group=self.groups[0], launches_per_hour=1, output_bytes_per_day=7)
        Limit.objects.create(group=self.groups[1], launches_per_hour=20)
        self.assertEqual(self.allowed(self.ada), Allowed(1, 2, None, 3))
        self.ada.groups.set(self.groups[:1])
        self.assertEqual(self.allowed(self.ada), Allowed(1, 1, 7, 3))
        self.ada.groups.set(self.groups)
        self.assertEqual(self.allowed(self.ada), Allowed(1, 20, 7, 3))
        Limit.objects.create(user=self.ada, launches_per_hour=0)
        self.assertEqual(self.allowed(self.ada), Allowed(1, 0, 7, 3))
        self.assertEqual(self.allowed(self.bert), Allowed(1, 2, None, 3))

    def test_each_is_said_once(self):
        for whose in ({}, {"user": self.ada}, {"group": self.groups[0]}):
            Limit.objects.create(**whose)
            with self.assertRaisesMessage(ValidationError, "There is a limit of this already"):
                Limit(**whose).full_clean()
        with self.assertRaisesMessage(ValidationError, "not both"):
            Limit(user=self.bert, group=self.groups[1]).full_clean()


class LimitCase(ApiCase):
    def limit(self, **most) -> None:
        Limit.objects.update_or_create(user=self.alice, defaults=most)

    def launch(self):
        return self.post(self.alice, "/api/runs", ECHO)

    def assert_refused(self, response, *words: str, retry=None) -> None:
        """`retry`: after how many seconds; ANY: of what no clock was held."""
        message = self.assert_error(response, 429, "quota")
        for word in words:
            self.assertIn(word, message)
        if retry is ANY:
            self.assertGreater(int(response["Retry-After"]), 0)
        else:
            self.assertEqual(response.headers.get("Retry-After"), retry and str(retry))

    def standing(self, name: str) -> dict:
        limits = self.get(self.alice, "/api/limits").json()["limits"]
        return next(limit for limit in limits if limit["name"] == name)


class RefusedTests(LimitCase):
    def test_launches_per_hour_and_the_time_of_relief(self):
        self.limit(launches_per_hour=2)
        with clock(NOON - timedelta(minutes=40)):
            self.assertEqual(self.launch().status_code, 201)
        with clock(NOON):
            self.assertEqual(self.launch().status_code, 201)
            # The first one was at 11:20:30, counted by the minute.
            words = "launched 2 of 2 runs", "again at 2026-01-31 12:21:00 UTC"
            self.assert_refused(self.launch(), *words, retry=20 * 60 + 30)
            self.assertEqual(self.standing("launches_per_hour")["room_at"], "2026-01-31T12:21:00Z")
        with clock(NOON + timedelta(seconds=20 * 60 + 29)):
            self.assert_refused(self.launch(), retry=1)
        with clock(NOON + timedelta(seconds=20 * 60 + 30)):
            self.assertEqual(self.launch().status_code, 201)
            self.assert_refused(self.launch(), "again at 2026-01-31 13:01:00", retry=40 * 60)

    def test_runs_at_once_queued_ones_too(self):
        self.limit(runs_at_once=2)
        run = make_run(self.alice, Status.RUNNING, timeout=600, started_at=NOON)
        make_run(self.alice, Status.QUEUED, timeout=900)
        with clock(NOON + timedelta(seconds=100)):
            words = "2 of 2 runs that you may have at once", "at the latest at 2026-01-31 12:10:30"
            self.assert_refused(self.launch(), *words, retry=500)
            self.limit(runs_at_once=1)
            # Two of them have to end, and nobody knows when the second one begins.
            self.assert_refused(self.launch(), "2 of 1 runs", retry=None)
            self.limit(runs_at_once=2)
            Run.objects.filter(pk=run.pk).update(timeout=0)
            # Nobody knows when, then.
            self.assert_refused(self.launch(), "cancel one", retry=None)
        Run.objects.filter(pk=run.pk).update(status=Status.SUCCEEDED)
        self.assertEqual(self.launch().status_code, 201)
        self.assertEqual(self.standing("runs_at_once")["used"], 2)

    def test_output_of_a_day(self):
        self.limit(output_bytes_per_day=1000)
        with clock(NOON - timedelta(hours=20)):
            used_up(self.alice, output_bytes=600)
        with clock(NOON - timedelta(hours=1)):
            used_up(self.alice, output_bytes=300)
        with clock(NOON):
            # What a run has printed and nobody has counted yet is used, too.
            run = make_run(self.alice, Status.RUNNING, ["x" * 99], timeout=0)
            self.assertEqual(self.launch().status_code, 201)
            Run.objects.filter(pk=run.pk).update(output_bytes=100)
            words = "printed 1000\xa0bytes", "last 24 hours", "again at 2026-01-31 16:01:00 UTC"
            self.assert_refused(self.launch(), *words, retry=4 * 3600 + 30)
        with clock(NOON + timedelta(hours=4, seconds=30)):
            self.assertEqual(self.launch().status_code, 201)

    def test_stored_output_is_freed_by_deleting_and_by_nothing_else(self):
        self.limit(stored_bytes=1000)
        big, small = (make_run(self.alice, stored_bytes=size) for size in (900, 50))
        going = make_run(self.alice, Status.RUNNING, output_bytes=250, dropped={"bytes": 200})
        self.assert_refused(self.launch(), "1000\xa0bytes of output is kept", "Delete runs")
        delete_run(small, "alice", "Test.")
        self.assertEqual(self.launch().status_code, 201)
        Run.objects.filter(pk=going.pk).update(output_bytes=300)
        self.assert_refused(self.launch())
        delete_run(big, "alice", "Test.")
        self.assertEqual(self.standing("stored_bytes")["used"], 100)

    def test_deleting_gives_neither_launches_nor_printed_bytes_back(self):
        self.limit(launches_per_hour=1, output_bytes_per_day=1000)
        run = Run.objects.get(public_id=self.launch().json()["id"])
        held = Run.objects.claim(run.pk, "us", 30)
        Run.objects.filter(pk=run.pk).update(output_bytes=1000)
        self.assertTrue(Run.objects.finish(held, Status.SUCCEEDED))
        self.assertEqual(
            self.call(self.alice, "DELETE", f"/api/runs/{run.public_id}").status_code, 204
        )
        self.assert_refused(self.launch(), "launched 1 of 1 runs", retry=ANY)
        self.limit(launches_per_hour=None)
        self.assert_refused(self.launch(), "printed 1000\xa0bytes", retry=ANY)

    def test_a_limit_of_nothing(self):
        self.limit(launches_per_hour=0)
        self.assert_refused(self.launch(), "Your limit of launches per hour is 0", "administrator")

    def test_a_rerun_and_a_superuser_are_limited_and_others_are_not(self):
        run = make_run(self.alice)
        self.limit(launches_per_hour=0)
        self.assert_refused(self.post(self.alice, f"/api/runs/{run.public_id}/rerun"))
        self.assertEqual(self.post(self.bob, "/api/runs", ECHO).status_code, 201)
        Limit.objects.create(user=self.root, launches_per_hour=0)
        self.assert_refused(self.post(self.root, "/api/runs", ECHO))

    def test_what_is_refused_leaves_nothing(self):
        self.limit(launches_per_hour=0)
        self.launch()
        self.assertFalse(Run.objects.exists() or Usage.objects.exists())


class CountedTests(LimitCase):
    def test_output_is_counted_once_however_often_it_is_looked_at(self):
        run = Run.objects.claim(make_run(self.alice, Status.QUEUED).pk, "us", 30)
        Usage.objects.all().delete()
        for printed, is_new in ((100, True), (100, False), (250, True)):
            Run.objects.filter(pk=run.pk).update(output_bytes=printed)
            found = Run.objects.count_output("us")
            self.assertEqual(found, {run.pk: self.alice.pk} if is_new else {})
        self.assertEqual(Run.objects.count_output("others"), {})
        Run.objects.filter(pk=run.pk).update(output_bytes=400, dropped={"bytes": 30})
        Run.objects.finish(run, Status.SUCCEEDED)
        Run.objects.finish(run, Status.SUCCEEDED)
        self.assertEqual(sum(Usage.objects.values_list("output_bytes", flat=True)), 400)
        self.assertEqual(Run.objects.get(pk=run.pk).stored_bytes, 370)

    def test_the_runs_of_a_deleted_account_are_counted_for_nobody(self):
        run = Run.objects.claim(make_run(self.bob, Status.QUEUED).pk, "us", 30)
        self.bob.delete()
        Run.objects.filter(pk=run.pk).update(output_bytes=100)
        self.assertEqual(Run.objects.count_output("us"), {run.pk: None})
        self.assertEqual(Run.objects.beyond_limits({run.pk: None}), {})
        Run.objects.filter(pk=run.pk).update(output_bytes=200)
        self.assertTrue(Run.objects.finish(run, Status.SUCCEEDED))

    def test_what_no_limit_looks_at_any_more_is_forgotten(self):
        with clock(NOON):
            used_up(self.alice, launches=1)
        with clock(NOON + timedelta(hours=24)):
            used_up(self.alice, launches=1)
            Usage.objects.forget()
            self.assertEqual(Usage.objects.count(), 2)
        with clock(NOON + timedelta(hours=26)):
            Usage.objects.forget()
            self.assertEqual(Usage.objects.count(), 1)


class PageTests(LimitCase):
    def test_the_form_says_the_sentence_and_keeps_what_was_typed(self):
        self.limit(launches_per_hour=0)
        sent = {"kind": "command", "program": "echo kept", "title": "Mine", "env_name": "A"}
        page = self.client_of(self.alice).post("/", sent)
        self.assertContains(page, "Your limit of launches per hour is 0", status_code=429)
        self.assertContains(page, "echo kept", status_code=429)
        self.assertNotIn("Retry-After", page)
        self.limit(launches_per_hour=1)
        client = self.client_of(self.alice)
        self.assertEqual(client.post("/", sent).status_code, 302)
        page = client.post("/", sent)
        self.assertGreater(int(page["Retry-After"]), 3500)
        again = client.post(f"/runs/{Run.objects.get().public_id}/again/")
        self.assertContains(again, "You have launched 1 of 1 runs", status_code=429)

    def test_the_account_page_says_how_one_stands(self):
        page = self.get(self.alice, "/account/")
        self.assertContains(page, "Nothing is limited for you.")
        self.assertContains(page, "unlimited", count=4)
        make_run(self.alice, stored_bytes=4096)
        self.limit(launches_per_hour=1, stored_bytes=2048, runs_at_once=0)
        used_up(self.alice, launches=1)
        page = self.get(self.alice, "/account/")
        self.assertNotContains(page, "Nothing is limited")
        for words in ("2.0\xa0KB", "4.0\xa0KB", "when runs are deleted", "ask an administrator"):
            self.assertContains(page, words)

    def test_the_api_says_it_too(self):
        self.limit(stored_bytes=2048)
        make_run(self.alice, stored_bytes=48)
        self.assertEqual(
            self.standing("stored_bytes"),
            {"name": "stored_bytes", "limit": 2048, "used": 48, "room_at": None},
        )
        self.assert_error(self.get(None, "/api/limits"), 401, "unauthorized")
