"""What administrators change and what auditors read leaves an event, too."""

import asyncio
from datetime import datetime
from io import StringIO
from unittest import mock

from asgiref.sync import sync_to_async
from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from runs import access
from runs.access import AccessEvent
from runs.models import Limit, Status
from runs.web import replaying
from tests.factories import make_run
from tests.people import auditors_group, make_user

from .asgi_client import Call, session_of
from .test_access import AccessCase, told
from .test_consumers import SocketCase

PASSWORD = "correct horse battery"


def last() -> AccessEvent:
    return AccessEvent.objects.latest("pk")


class ChangedTests(AccessCase):
    def save(self, path, **fields):
        """Open a form of the admin, and send it back with some fields changed."""
        client, sent = self.client_of(self.root), {}
        form = client.get(path).context["adminform"].form
        for name, field in form.fields.items():
            value = form.get_initial_for_field(field, name)
            if isinstance(value, list):
                value = [item.pk for item in value]
            if not isinstance(value, datetime):
                sent[name] = value
                continue
            for number, part in enumerate((value.date(), value.time())):
                sent |= {f"{name}_{number}": part, f"initial-{name}_{number}": part}
        sent = {n: v for n, v in (sent | fields).items() if v is not None and v is not False}
        response = client.post(path, sent)
        self.assertEqual(response.status_code, 302, response.content[-3000:])

    def test_an_account_is_added_changed_and_deleted(self):
        path = "/admin/auth/user/"
        new = {"username": "carol", "password1": PASSWORD, "password2": PASSWORD}
        self.save(f"{path}add/", usable_password="true", **new)
        event, carol = last(), User.objects.get(username="carol")
        self.assertEqual(
            (event.action, event.actor_name, event.subject, event.address),
            ("admin_add", "root", "carol", "127.0.0.1"),
        )
        auditors = auditors_group()
        may = Permission.objects.get(codename="view_run")
        self.save(
            f"{path}{carol.pk}/change/", is_staff="on", is_superuser="on", email="c@d.org",
            groups=[auditors.pk], user_permissions=[may.pk],
        )  # fmt: skip
        event = last()
        self.assertEqual((event.action, event.subject), ("admin_change", "carol"))
        self.assertEqual(
            event.detail,
            {
                "what": "user", "by": "admin",
                "changes": {
                    "is_staff": [False, True], "is_superuser": [False, True],
                    "email": ["", "c@d.org"],
                    "groups": {"added": ["Auditors"], "removed": []},
                    "user_permissions": {"added": [str(may)], "removed": []},
                },
            },
        )  # fmt: skip
        self.save(f"{path}{carol.pk}/change/", groups=[])
        self.assertEqual(last().detail["changes"]["groups"]["removed"], ["Auditors"])
        before = AccessEvent.objects.count()
        self.save(f"{path}{carol.pk}/change/")
        self.assertEqual(AccessEvent.objects.count(), before)
        self.client_of(self.root).post(f"{path}{carol.pk}/delete/", {"post": "yes"})
        self.assertEqual((last().action, last().subject), ("admin_delete", "carol"))

    def test_several_are_deleted_at_once(self):
        users = [make_user("dave"), make_user("erin")]
        self.client_of(self.root).post(
            "/admin/auth/user/",
            {"action": "delete_selected", "_selected_action": [u.pk for u in users], "post": "yes"},
        )
        self.assertEqual(told(), [("admin_delete", "root")] * 2)

    def test_passwords_are_told_of_and_never_told(self):
        self.alice.set_password(PASSWORD)
        self.alice.save()
        client = self.client_of(self.root)
        reset = {"password1": PASSWORD + "!", "password2": PASSWORD + "!"}
        path = f"/admin/auth/user/{self.alice.pk}/password/"
        client.post(path, reset | {"usable_password": "true"})
        self.assertEqual((last().action, last().actor_name), ("password", "root"))
        self.assertEqual(last().subject, "alice")
        own = {"old_password": PASSWORD + "!", "new_password1": "x" + PASSWORD}
        alice = self.client_of(self.alice)
        alice.force_login(User.objects.get(pk=self.alice.pk))
        page = alice.post("/account/password/", own | {"new_password2": "x" + PASSWORD})
        self.assertEqual(page.status_code, 302)
        self.assertEqual((last().action, last().actor_name), ("password", "alice"))
        kept = str(list(AccessEvent.objects.values()))
        for word in (PASSWORD, "pbkdf2"):
            self.assertNotIn(word, kept)

    def test_a_group_and_its_permissions(self):
        may = Permission.objects.get(codename="view_chunk")
        self.save("/admin/auth/group/add/", name="Lookers", permissions=[may.pk])
        group = Group.objects.get(name="Lookers")
        self.assertEqual((last().action, last().subject), ("admin_add", "Lookers"))
        self.save(f"/admin/auth/group/{group.pk}/change/", permissions=[])
        self.assertEqual(last().detail["changes"]["permissions"]["removed"], [str(may)])

    def test_limits(self):
        path = "/admin/runs/limit/"
        self.save(f"{path}add/", user=self.alice.pk, launches_per_hour=10)
        limit = Limit.objects.get()
        self.assertEqual((last().action, last().subject), ("admin_add", "limits of alice"))
        self.assertEqual(last().detail["changes"]["user"], [None, "alice"])
        self.save(f"{path}{limit.pk}/change/", user=self.bob.pk, launches_per_hour=20)
        self.assertEqual(
            last().detail["changes"], {"user": ["alice", "bob"], "launches_per_hour": [10, 20]}
        )
        page = self.get(self.root, path)
        self.assertContains(page, "limits of bob")
        self.client_of(self.root).post(f"{path}{limit.pk}/delete/", {"post": "yes"})
        self.assertEqual(last().action, "admin_delete")

    def test_only_superusers_set_limits_and_auditors_read_them(self):
        limit = Limit.objects.create(launches_per_hour=10)
        clerk = make_user("clerk", is_staff=True)
        clerk.user_permissions.set(Permission.objects.filter(codename__endswith="_limit"))
        auditor = make_user("new auditor")
        auditor.groups.add(auditors_group())
        path = f"/admin/runs/limit/{limit.pk}/change/"
        for user in (clerk, auditor):
            page = self.get(user, path)
            self.assertContains(page, "10")
            self.assertNotContains(page, "_save")
            for address in (path, "/admin/runs/limit/add/", path.replace("change", "delete")):
                sent = {"launches_per_hour": 99, "post": "yes"}
                self.assertEqual(self.client_of(user).post(address, sent).status_code, 403)
        self.assertEqual(Limit.objects.get().launches_per_hour, 10)
        self.assertEqual(self.get(self.alice, path).status_code, 302)

    def test_what_is_done_in_the_terminal(self):
        with mock.patch.dict("os.environ", {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}):
            call_command(
                "createsuperuser", "--noinput", username="carol", email="", stdout=StringIO()
            )
        self.assertEqual((last().action, last().subject), ("admin_add", "carol"))
        self.assertEqual(last().detail["by"], "createsuperuser")
        with mock.patch.object(changepassword.getpass, "getpass", return_value="x" + PASSWORD):
            call_command("changepassword", "carol", stdout=StringIO())
        self.assertEqual((last().action, last().subject), ("password", "carol"))
        self.assertTrue(last().detail["system_user"])
        self.assertTrue(User.objects.get(username="carol").check_password("x" + PASSWORD))
        self.assertNotIn(PASSWORD, str(list(AccessEvent.objects.values())))

    def test_nobody_writes_events(self):
        access.note(access.Action.LOGIN, self.alice)
        event = last()
        for user in (self.root, self.auditor):
            for tail in ("add/", f"{event.pk}/change/", f"{event.pk}/delete/"):
                path = f"/admin/runs/accessevent/{tail}"
                self.assertEqual(self.client_of(user).post(path, {"post": "yes"}).status_code, 403)
        self.assertTrue(AccessEvent.objects.filter(pk=event.pk).exists())


class ReadTests(AccessCase):
    def setUp(self):
        super().setUp()
        group = auditors_group()
        self.auditor.groups.add(group)
        data = '{"text/plain": "42", "text/html": "<b>42</b>"}'
        chunks = ["a\n", {"text": "42", "stream": "result", "data": data}, "c\n"]
        self.run_ = make_run(self.alice, chunks=chunks)

    def seen(self) -> list[tuple]:
        events = AccessEvent.objects.filter(run=self.run_.public_id).order_by("pk")
        return [(event.action, event.actor_name, event.detail) for event in events]

    def test_an_auditor_opens_a_run_in_the_admin(self):
        for _ in range(2):
            self.get(self.auditor, f"/admin/runs/run/{self.run_.pk}/change/")
        self.assertEqual(self.seen(), [("view", "auditor", {"by": "admin"})])

    def test_or_its_chunks_or_one_of_them(self):
        chunk = self.run_.chunk_set.last()
        for query in (f"?run__id__exact={self.run_.pk}", "", f"{chunk.pk}/change/"):
            access._noted.clear()
            AccessEvent.objects.all().delete()
            page = self.get(self.auditor, f"/admin/runs/chunk/{query}")
            self.assertEqual(page.status_code, 200)
            ((action, who, detail),) = self.seen()
            self.assertEqual((action, who, detail["by"]), ("view", "auditor", "admin"))

    def test_results_that_are_downloaded_or_shown_by_themselves(self):
        path = f"/runs/{self.run_.public_id}/results/2/"
        self.get(self.auditor, f"{path}download?mime=text/html")
        for _ in range(2):
            self.get(self.auditor, path)
        self.get(self.bob, f"{path}download")
        self.assertEqual(
            self.seen(),
            [
                ("export", "auditor", {"format": "text/html", "result": 2}),
                ("read", "auditor", {"result": 2}),
            ],
        )

    def test_what_a_page_shows_and_what_it_reads_on(self):
        self.get(self.auditor, f"/runs/{self.run_.public_id}/")
        self.assertEqual(self.seen(), [("view", "auditor", {"after": 0, "to": 3})])
        path = f"/api/runs/{self.run_.public_id}/chunks"
        for query in ({"limit": 1}, {"limit": 1}, {"before": 4, "limit": 1}, {"after": 1}, {}):
            self.get(self.auditor, path, **query)
        ranges = [(detail["after"], detail["to"]) for _, _, detail in self.seen()[1:]]
        # Once each; what was read already is known.
        self.assertEqual(ranges, [(0, 1), (2, 3), (1, 3)])
        self.assertEqual({action for action, _, _ in self.seen()[1:]}, {"replayed"})
        with mock.patch.object(replaying, "READ_AGAIN_SECONDS", -1):
            self.get(self.auditor, path)
        self.assertEqual(self.seen()[-1][2], {"after": 0, "to": 3})

    def test_whoever_reads_in_many_parts_leaves_few_events(self):
        run = make_run(self.alice, chunks=[f"{n}\n" for n in range(9)])
        AccessEvent.objects.all().delete()
        self.client_of(self.auditor)
        with mock.patch.object(replaying, "MOST_PARTS", 3):
            for after in range(9):
                self.get(self.auditor, f"/api/runs/{run.public_id}/chunks", after=after, limit=1)
        details = [event.detail for event in AccessEvent.objects.order_by("pk")]
        # The last one stands for all that may have been read behind it.
        self.assertEqual([(one["after"], one["to"]) for one in details], [(0, 1), (1, 2), (0, 9)])
        self.assertEqual(details[-1]["parts"], "too many to list")

    def test_a_script_reads(self):
        path = f"/api/runs/{self.run_.public_id}/chunks"
        self.client.get(path, headers=self.token_headers(self.auditor))
        self.assertEqual([action for action, _, _ in self.seen()], ["read"])


class ResumedTests(SocketCase):
    async def test_who_resumes_a_stream_that_somebody_else_launched_is_noted(self):
        run = await sync_to_async(make_run)(self.people.alice, Status.SUCCEEDED, ["a\n", "b\n"])
        login = await sync_to_async(session_of)(self.people.auditor)
        headers = [*login, (b"accept", b"text/event-stream")]
        headers.append((b"last-event-id", f"{run.public_id}:1".encode()))
        async with Call("/api/stream/command", headers) as call:
            await call.events()
        async with asyncio.timeout(10):
            while await AccessEvent.objects.filter(run=run.public_id).acount() < 2:
                await asyncio.sleep(0.01)
        events = [event async for event in AccessEvent.objects.exclude(run="").order_by("pk")]
        self.assertEqual([event.action for event in events], ["replay", "replayed"])
        self.assertEqual(events[1].detail, {"after": 1, "to": 2, "by": "sse"})
        self.assertEqual(events[1].actor_name, "auditor")
