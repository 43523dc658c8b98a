"""Who did what: every action leaves an event that nobody can change."""

import asyncio
from unittest import mock

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.test import Client, TransactionTestCase
from django.test.utils import CaptureQueriesContext

from runs import access
from runs.access import AccessEvent, Action, note
from runs.models import Run, Status
from runs.web import replaying
from tests.factories import make_run

from .api_case import ApiCase
from .test_consumers import SocketCase

ECHO = {"kind": "command", "program": "true", "title": "Hello"}


def told(**filters) -> list[tuple]:
    events = AccessEvent.objects.filter(**filters).order_by("pk")
    return [(event.action, event.actor_name) for event in events]


class AccessCase(ApiCase):
    def setUp(self):
        access._noted.clear()
        replaying._noted.clear()
        # Logging in for the test is an event, too.
        for user in (self.alice, self.bob, self.auditor, self.root):
            self.client_of(user)
        AccessEvent.objects.all().delete()


class NotedTests(AccessCase):
    def test_what_is_done_to_a_run(self):
        made = self.post(self.alice, "/api/runs", ECHO | {"env": {"KEY": "a long value"}}).json()
        run = Run.objects.get()
        page, api = f"/runs/{made['id']}/", f"/api/runs/{made['id']}"
        self.get(self.auditor, page)
        self.get(self.auditor, api + "/chunks")
        self.get(self.auditor, api + "/chunks?after=1")
        self.get(self.alice, api + "/marks")
        self.post(self.root, api + "/cancel")
        again = self.post(self.alice, api + "/rerun", {"env": {"KEY": "a long value"}}).json()
        self.call(self.alice, "DELETE", api)
        self.assertEqual(
            told(run=run.public_id),
            [("launch", "alice"), ("view", "auditor"), ("read", "auditor"), ("read", "alice"),
             ("cancel", "root"), ("delete", "alice")],
        )  # fmt: skip
        launch = AccessEvent.objects.get(action="launch")
        self.assertEqual((launch.subject, launch.address), ("Hello", "127.0.0.1"))
        self.assertEqual(launch.detail, {"kind": "command", "env": ["KEY"], "secrets": []})
        rerun = AccessEvent.objects.get(run=again["id"])
        self.assertEqual((rerun.action, rerun.detail["of"]), ("rerun", run.public_id))

    def test_by_the_pages_too(self):
        client = self.client_of(self.alice)
        client.post("/", {"kind": "command", "program": "true"})
        run = Run.objects.get()
        client.post(f"/runs/{run.public_id}/cancel/")
        client.post(f"/runs/{run.public_id}/again/")
        client.post(f"/runs/{run.public_id}/delete/")
        actions = [action for action, _ in told()]
        self.assertEqual(actions, ["launch", "cancel", "rerun", "delete"])

    def test_logging_in_and_out_and_failing_to(self):
        user = User.objects.create_user("carol", password="correct horse")
        client = Client()
        for password in ("wrong", "correct horse"):
            client.post("/accounts/login/", {"username": "carol", "password": password})
        client.post("/accounts/logout/")
        self.assertEqual(told(), [("login_failed", ""), ("login", "carol"), ("logout", "carol")])
        self.assertEqual(AccessEvent.objects.first().subject, "carol")
        user.delete()
        self.assertEqual(told(action="login"), [("login", "carol")])

    def test_who_guesses_has_to_wait_and_nobody_else_does(self):
        User.objects.create_user("carol", password="correct horse")
        User.objects.create_user("dave", password="correct horse")
        client = Client()

        def log_in(name, password, address="192.0.2.1"):
            sent = {"username": name, "password": password}
            return client.post("/accounts/login/", sent, REMOTE_ADDR=address)

        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            self.assertContains(log_in("carol", "wrong"), "do not belong together")
        log_in("carol", "wrong")
        refused = log_in("carol", "correct horse")
        self.assertContains(refused, "Try again in 15 minutes.", status_code=429)
        self.assertEqual(refused["Retry-After"], "900")
        self.assertEqual(log_in("dave", "correct horse").status_code, 302)
        self.assertEqual(log_in("carol", "correct horse", "192.0.2.2").status_code, 302)
        self.assertEqual(
            AccessEvent.objects.filter(action="login_failed").count(),
            settings.AXES_FAILURE_LIMIT + 1,
        )

    def test_tokens_and_secrets(self):
        client = self.client_of(self.alice)
        client.post("/account/tokens/", {"name": "nightly"})
        secret = {"name": "KEY", "value": "a long value"}
        client.post("/account/secrets/", secret)
        client.post("/account/secrets/", secret)
        client.post(f"/account/secrets/{self.alice.saved_secrets.get().pk}/delete/")
        client.get("/api/runs", headers=self.token_headers(self.alice))
        client.post(f"/account/tokens/{self.alice.api_tokens.first().pk}/revoke/")
        self.assertEqual(
            [action for action, _ in told()],
            ["token_made", "secret_saved", "secret_saved", "secret_deleted", "token_used",
             "token_revoked"],
        )  # fmt: skip
        self.assertNotIn("a long value", str(list(AccessEvent.objects.values())))

    def test_what_is_refused_leaves_nothing(self):
        run = make_run(self.alice, Status.RUNNING)
        for user, path in ((self.bob, ""), (self.auditor, "/cancel"), (self.bob, "/cancel")):
            method = "POST" if path else "GET"
            self.call(user, method, f"/api/runs/{run.public_id}{path}")
        self.get(self.bob, f"/runs/{run.public_id}/")
        self.assertEqual(told(), [])

    def test_an_event_that_cannot_be_written_stops_nobody(self):
        run = make_run(self.alice, chunks=["a\n"])
        failing = mock.patch.object(AccessEvent.objects, "bulk_create", side_effect=DatabaseError)
        with failing, self.assertLogs("runs.access", "ERROR"):
            self.assertContains(self.get(self.alice, f"/runs/{run.public_id}/"), "who has seen")
            body = self.get(self.alice, f"/api/runs/{run.public_id}/chunks").json()
        self.assertEqual(len(body["items"]), 1)


class WatchedTests(SocketCase):
    async def test_who_watched_and_up_to_where(self):
        for status, actions in (
            (Status.RUNNING, ["watch", "watched"]),
            (Status.SUCCEEDED, ["replay", "replayed"]),
        ):
            with self.subTest(status):
                await AccessEvent.objects.all().adelete()
                await self.watched(status, actions)

    async def watched(self, status, actions):
        run = await sync_to_async(make_run)(self.people.alice, status, ["a\n", "b\n"])
        async with self.open(run, "after=1") as socket:
            await socket.until("end" if run.is_final else "chunks")
        events = await self.events(2)
        self.assertEqual([event.action for event in events], actions)
        self.assertEqual([event.detail for event in events], [{"after": 1}, {"after": 1, "to": 2}])
        self.assertEqual({event.actor_name for event in events}, {"alice"})

    async def events(self, count):
        async with asyncio.timeout(10):
            while True:
                run_events = AccessEvent.objects.exclude(run="").order_by("pk")
                events = [event async for event in run_events]
                if len(events) >= count:
                    return events
                await asyncio.sleep(0.01)


class ShownTests(AccessCase):
    def test_owner_and_auditors_see_who_has_seen_a_run_and_others_do_not(self):
        run = make_run(self.alice, title="<b>mine</b>")
        note(Action.VIEW, self.auditor, "192.0.2.7", run, env=["A", "B"], secrets=[], to=7)
        path = f"/runs/{run.public_id}/access/"
        for user in (self.alice, self.auditor, self.root):
            page = self.get(user, path)
            self.assertContains(page, "Opened the page")
            self.assertContains(page, "192.0.2.7")
            # PostgreSQL keeps no order of names.
            self.assertContains(page, "env A, B")
            self.assertContains(page, "to 7")
            self.assertNotContains(page, "<b>mine")
            items = self.get(user, f"/api/runs/{run.public_id}/access").json()["items"]
            self.assertEqual([item["actor"] for item in items], ["auditor"])
        self.assertEqual(self.get(self.bob, path).status_code, 404)
        self.assertEqual(self.get(self.bob, f"/api/runs/{run.public_id}/access").status_code, 404)

    def test_pages_of_them(self):
        run = make_run(self.alice)
        for number in range(130):
            note(Action.VIEW, self.alice, f"192.0.2.{number}", run)
        path = f"/api/runs/{run.public_id}/access"
        first = self.get(self.alice, path, limit=100).json()
        rest = self.get(self.alice, path, limit=100, cursor=first["next"]).json()
        addresses = [item["address"] for item in first["items"] + rest["items"]]
        self.assertEqual(addresses, [f"192.0.2.{n}" for n in range(129, -1, -1)])
        self.assertIsNone(rest["next"])
        page = self.get(self.alice, f"/runs/{run.public_id}/access/")
        self.assertContains(page, "Earlier")

    def test_an_auditor_reads_filters_and_exports_in_the_admin(self):
        note(Action.VIEW, self.alice, "192.0.2.1", make_run(self.alice))
        note(Action.LOGIN_FAILED, None, "192.0.2.2", subject="=cmd()")
        note(Action.LOGIN_FAILED, None, "192.0.2.2", subject="\t=cmd()")
        page = self.get(self.root, "/admin/runs/accessevent/?action__exact=login_failed")
        self.assertContains(page, "192.0.2.2")
        self.assertNotContains(page, "192.0.2.1")
        chosen = {
            "action": "export_selected",
            "_selected_action": AccessEvent.objects.values_list("pk", flat=True),
        }
        answer = self.client_of(self.root).post("/admin/runs/accessevent/", chosen)
        lines = b"".join(answer.streaming_content).decode().splitlines()
        self.assertEqual(len(lines), 4)
        self.assertIn("'=cmd()", lines[2])
        self.assertIn("'\t=cmd()", lines[3])

    def test_nobody_changes_or_deletes_them(self):
        note(Action.VIEW, self.alice, "", make_run(self.alice))
        event = AccessEvent.objects.get()
        client = self.client_of(self.root)
        for path in (f"{event.pk}/delete/", f"{event.pk}/change/", "add/"):
            answer = client.post(f"/admin/runs/accessevent/{path}", {"post": "yes"})
            self.assertEqual(answer.status_code, 403, path)
        delete = {"action": "delete_selected", "_selected_action": event.pk, "post": "yes"}
        client.post("/admin/runs/accessevent/", delete)
        self.assertEqual(told(run=event.run), [("view", "alice")])

    def test_the_page_of_a_run_costs_one_insert(self):
        run = make_run(self.alice)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            self.get(self.alice, f"/runs/{run.public_id}/")
        inserts = [query for query in queries if "INSERT" in query["sql"]]
        self.assertEqual(len(inserts), 1)


class GoneTests(TransactionTestCase):
    def test_the_name_of_a_deleted_account_stays(self):
        user = User.objects.create_user("carol")
        run = make_run(user)
        event = access.event_of(Action.WATCHED, user, "", run)
        user.delete()
        access.add([event])
        self.assertEqual(told(run=run.public_id), [("watched", "carol")])
