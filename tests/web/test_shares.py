"""Links by which people without an account see one run, and nothing else."""

from datetime import timedelta

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.signing import Signer
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from runs import access, logs
from runs.access import AccessEvent
from runs.models import Run, Share, Status
from runs.web import noting, replaying
from tests.factories import make_run
from tests.streaming.helpers import finish, make_held_run

from .api_case import ApiCase
from .asgi_client import Socket, fetch, refusal
from .test_consumers import SocketCase, store

ENV = {"env": {"SECRET_NAME": "a secret value", "PLAIN": "spoken"}, "plain_env": ["PLAIN"]}
RESULT = {"stream": "result", "text": "", "data": '{"text/html": "<b>a table</b>"}'}


def make_share(run, user, seconds=3600, label="") -> Share:
    return Share.objects.make(run, user, seconds, label)


class ShareCase(ApiCase):
    def setUp(self):
        access._noted.clear()
        replaying._noted.clear()
        self.run_ = make_run(self.alice, chunks=["a\n", "b\n", RESULT], title="Shown", **ENV)
        self.other = make_run(self.alice, chunks=["private\n"], title="Not shown")
        self.share = make_share(self.run_, self.alice, label="for the vendor")
        self.api = f"/api/runs/{self.run_.public_id}/shares"

    def api_of(self, share: Share) -> str:
        return f"/api/shared/{share.token}"


class OpenTests(ShareCase):
    def test_the_page_shows_the_run_to_nobody_in_particular(self):
        for user in (None, self.bob, self.alice):
            response = self.get(user, self.share.path)
            page = response.content.decode()
            self.assertEqual(response.status_code, 200)
            self.assertIn("Shown", page)
            for hidden in ("SECRET_NAME", "PLAIN", "spoken", "/runs/", "Cancel", "Run again",
                           "csrfmiddlewaretoken", "/accounts/", "Export"):  # fmt: skip
                self.assertNotIn(hidden, page.replace("/static/runs/", ""))
            if user:
                self.assertNotIn(f"<summary>{user}", page)
            self.assertEqual(response["Referrer-Policy"], "no-referrer")
            self.assertEqual(response["X-Robots-Tag"], "noindex")
            self.assertEqual(response["Cache-Control"], "no-store")
            self.assertNotIn("Set-Cookie", response)
            self.assertNotIn("Cookie", response.get("Vary", ""))

    def test_its_calls(self):
        api = self.api_of(self.share)
        run = self.get(None, api).json()
        self.assertEqual((run["id"], run["status"]), (self.run_.public_id, "succeeded"))
        self.assertEqual({"env", "plain_env", "secrets", "sandbox_id"} & set(run), set())
        self.assertEqual(set(run["urls"]), {"page", "events", "websocket", "chunks"})
        self.assertEqual(len(self.get(None, run["urls"]["chunks"]).json()["items"]), 3)
        for call in ("outline", "marks", "search?q=a"):
            response = self.get(None, f"{api}/{call}")
            self.assertEqual((call, response.status_code), (call, 200))
            self.assertEqual(response["Referrer-Policy"], "no-referrer")
        frame = self.get(None, f"{self.share.path}results/3/")
        self.assertIn(b"<b>a table</b>", frame.content)
        self.assertIn("sandbox", frame["Content-Security-Policy"])
        file = self.get(None, f"{self.share.path}results/3/download?mime=text/html")
        self.assertIn("attachment", file["Content-Disposition"])

    def test_nothing_else(self):
        api = self.api_of(self.share)
        for call in ("access", "shares", "cancel", "rerun", "export.ndjson", "compare", "x"):
            self.assert_error(self.get(None, f"{api}/{call}"), 404, "not_found")
        for method in ("POST", "DELETE", "PUT", "PATCH"):
            for path in (api, f"{api}/chunks", f"{api}/cancel"):
                response = self.call(self.alice, method, path)
                self.assert_error(response, 405, "method_not_allowed")
        self.assertEqual(self.call(None, "POST", self.share.path).status_code, 405)
        # The token is no API token.
        bearer = {"Authorization": f"Bearer {self.share.token}"}
        response = self.client_of(None).get(f"/api/runs/{self.run_.public_id}", headers=bearer)
        self.assert_error(response, 401, "unauthorized")
        self.assertTrue(Run.objects.filter(pk=self.run_.pk, status="succeeded").exists())

    def refused(self, token: str) -> None:
        page = self.get(None, f"/shared/{token}/")
        self.assertEqual(page.status_code, 404)
        self.assertIn("Ask whoever sent it for a new one", page.content.decode())
        for path in ("", "/chunks", "/search?q=a"):
            self.assert_error(self.get(None, f"/api/shared/{token}{path}"), 404, "not_found")
        self.assertEqual(self.get(None, f"/shared/{token}/results/3/").status_code, 404)

    def test_guessed_and_changed(self):
        token = self.share.token
        flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
        foreign = Signer(key="another key", salt="runs.share", sep=".").sign(self.share.public_id)
        elsewhere = Signer(salt="something else", sep=".").sign(self.share.public_id)
        for wrong in ("x", "sss_", "sss_.", self.share.public_id, f"sss_{self.share.public_id}",
                      token.removeprefix("sss_"), token[:-1], token + "A", flipped, token.upper(),
                      f"sss_{foreign}", f"sss_{elsewhere}", "sss_a%00.b", "sss_é.é", "9" * 4000,
                      f"sss_{self.other.public_id}.{token.partition('.')[2]}"):  # fmt: skip
            with self.subTest(wrong[:60]):
                self.refused(wrong)

    def test_expired_revoked_and_without_its_maker(self):
        expired = make_share(self.run_, self.alice)
        Share.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
        self.refused(expired.token)
        revoked = make_share(self.run_, self.alice)
        self.assertTrue(Share.objects.revoke(revoked))
        self.assertFalse(Share.objects.revoke(revoked))
        self.refused(revoked.token)
        with override_settings(SHARE_DAYS=0):
            self.refused(self.share.token)
        by_root = make_share(self.run_, self.root)
        self.assertEqual(self.get(None, by_root.path).status_code, 200)
        User.objects.filter(pk=self.root.pk).update(is_superuser=False)
        self.refused(by_root.token)
        User.objects.filter(pk=self.alice.pk).update(is_active=False)
        self.refused(self.share.token)
        self.alice.delete()
        self.refused(self.share.token)

    def test_it_opens_its_own_run_only(self):
        page = self.get(None, f"/shared/{self.share.token}/?from={self.other.public_id}")
        self.assertNotIn("private", page.content.decode())
        mine = make_share(self.other, self.alice)
        ids = [self.get(None, self.api_of(s)).json()["id"] for s in (self.share, mine)]
        self.assertEqual(ids, [self.run_.public_id, self.other.public_id])
        self.run_.delete()
        self.refused(self.share.token)

    def test_it_lives_on_with_an_older_key(self):
        token = self.share.token
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[Signer().key]):
            self.assertEqual(self.get(None, f"/api/shared/{token}").status_code, 200)

    def test_no_log_line_holds_it(self):
        line = f"Internal Server Error: {self.share.path}?x=1, /ws/shared/{self.share.token}/"
        hidden = logs.Lines("test").hide(line)
        self.assertEqual(
            hidden, "Internal Server Error: /shared/[hidden]/?x=1, /ws/shared/[hidden]/"
        )

    def test_who_opened_it_is_noted_by_its_label(self):
        AccessEvent.objects.all().delete()
        self.get(self.bob, self.share.path)
        second = make_share(self.run_, self.alice)
        for share in (self.share, self.share, second):
            self.get(None, f"{self.api_of(share)}/chunks")
        name = f"link {self.share.pk} (for the vendor)"
        told = AccessEvent.objects.order_by("pk").values_list("action", "actor_name", "actor")
        self.assertEqual(
            list(told.exclude(action="login")),
            [("share_used", name, None), ("replayed", name, None),
             ("replayed", f"link {second.pk}", None)],
        )  # fmt: skip
        self.share.refresh_from_db()
        self.assertEqual(self.share.uses, 1)
        self.assertIsNotNone(self.share.used_at)
        self.assertContains(self.get(self.alice, f"/runs/{self.run_.public_id}/access/"), name)


class MakeTests(ShareCase):
    def test_by_the_api(self):
        made = self.post(self.alice, self.api, {"seconds": 3600, "label": "press"})
        self.assertEqual(made.status_code, 201)
        share = made.json()
        self.assertEqual((share["label"], share["made_by"], share["uses"]), ("press", "alice", 0))
        path = share["url"].removeprefix("http://testserver")
        self.assertEqual(self.get(None, path).status_code, 200)
        listed = self.get(self.alice, self.api).json()["items"]
        self.assertEqual([one["id"] for one in listed], [share["id"], self.share.pk])
        for _ in range(2):
            gone = self.call(self.alice, "DELETE", f"{self.api}/{share['id']}")
            self.assertEqual(gone.status_code, 204)
        self.assertEqual(self.get(None, path).status_code, 404)
        self.assertIsNone(self.get(self.alice, self.api).json()["items"][0]["url"])
        actions = AccessEvent.objects.filter(run=self.run_.public_id).order_by("pk")
        self.assertEqual(
            list(actions.values_list("action", "actor_name")),
            [("share_made", "alice"), ("share_used", f"link {share['id']} (press)"),
             ("share_revoked", "alice")],
        )  # fmt: skip

    def test_without_a_body_it_lives_for_a_week(self):
        self.post(self.alice, self.api)
        share = Share.objects.latest("pk")
        self.assertEqual(share.expires_at - share.created_at, timedelta(days=7))

    def test_who_may(self):
        for user, status, code in (
            (None, 401, "unauthorized"), (self.bob, 404, "not_found"),
            (self.auditor, 403, "forbidden"),
        ):  # fmt: skip
            for method, path in (
                ("GET", self.api), ("POST", self.api), ("DELETE", f"{self.api}/{self.share.pk}"),
            ):  # fmt: skip
                self.assert_error(self.call(user, method, path), status, code)
        self.assertEqual(self.post(self.root, self.api).status_code, 201)
        self.assert_error(self.call(self.alice, "DELETE", f"{self.api}/x"), 404, "not_found")
        elsewhere = f"/api/runs/{self.other.public_id}/shares/{self.share.pk}"
        self.assert_error(self.call(self.alice, "DELETE", elsewhere), 404, "not_found")
        self.share.refresh_from_db()
        self.assertIsNone(self.share.revoked_at)

    def test_bad_wishes(self):
        for sent, field in (
            ({"seconds": 59}, "seconds"), ({"seconds": 91 * 86400}, "seconds"),
            ({"seconds": "60"}, "seconds"), ({"seconds": True}, "seconds"),
            ({"seconds": 1e3}, "seconds"), ({"label": 1}, "label"), ({"label": "a\nb"}, "label"),
            ({"label": "a\0b"}, "label"), ({"label": "x" * 81}, "label"), ({"until": 1}, "until"),
        ):  # fmt: skip
            self.assert_error(self.post(self.alice, self.api, sent), 422, "invalid", field)
        with override_settings(SHARE_DAYS=0):
            self.assert_error(self.post(self.alice, self.api), 422, "invalid", "seconds")

    def test_by_the_page(self):
        page = f"/runs/{self.run_.public_id}/shares/"
        client = self.client_of(self.alice)
        made = client.post(page, {"seconds": "3600", "label": "<b>press"})
        share = Share.objects.latest("pk")
        self.assertContains(made, f"http://testserver{share.path}", status_code=201)
        self.assertContains(made, "&lt;b&gt;press", status_code=201)
        self.assertContains(self.get(self.alice, f"/runs/{self.run_.public_id}/"), "2 links")
        refused = client.post(page, {"seconds": "1", "label": "kept"})
        self.assertContains(refused, "kept", status_code=422)
        self.assertContains(refused, "Say for how many seconds", status_code=422)
        client.post(f"{page}{share.pk}/revoke/")
        self.assertEqual(self.get(None, share.path).status_code, 404)
        self.assertNotContains(client.get(page), share.token)
        for user, status in ((None, 302), (self.bob, 404), (self.auditor, 403)):
            self.assertEqual(self.get(user, page).status_code, status)
            revoke = self.call(user, "POST", f"{page}{self.share.pk}/revoke/")
            self.assertEqual(revoke.status_code, status)
        self.assertEqual(self.get(None, self.share.path).status_code, 200)

    def test_superusers_revoke_in_the_admin(self):
        changelist = reverse("admin:runs_share_changelist")
        action = {"action": "revoke_selected", "_selected_action": self.share.pk}
        self.client_of(self.root).post(changelist, action)
        self.assertEqual(self.get(None, self.share.path).status_code, 404)
        shown = self.get(self.root, changelist)
        self.assertContains(shown, "for the vendor")
        self.assertNotContains(shown, self.share.public_id)
        self.assertEqual(AccessEvent.objects.latest("pk").action, "share_revoked")


class LiveTests(SocketCase):
    def setUp(self):
        super().setUp()
        self.run_ = make_held_run(self.people.alice, env_names=["SECRET_NAME"])
        self.share = make_share(self.run_, self.people.alice)

    def open(self, token=None, query=""):
        return Socket(f"/ws/shared/{token or self.share.token}/", [], query)

    async def test_a_live_run_is_followed_without_an_account(self):
        async with self.open() as socket:
            hello = await socket.until("hello")
            self.assertNotIn("env", hello["run"])
            self.assertNotIn("cancel", hello["run"]["urls"])
            await store(self.run_, "one")
            self.assertEqual((await socket.until("chunks"))["last_seq"], 1)
            for message in ({"type": "cancel"}, {"type": "stdin", "text": "x"}):
                socket.say(message)
                self.assertEqual((await socket.until("error"))["code"], "forbidden")
            await finish(self.run_, Status.FAILED)
            status = await socket.until("status")
            self.assertNotIn("SECRET_NAME", str(status))
            self.assertEqual(await socket.closed(), 1000)
        await self.until_noted("watched")
        event = await AccessEvent.objects.aget(action="watched")
        self.assertEqual(event.detail, {"after": 0, "to": 1})
        self.assertEqual(event.actor_name, f"link {self.share.pk}")

    async def until_noted(self, action: str) -> None:
        for task in list(noting._tasks):
            await task
        self.assertTrue(await AccessEvent.objects.filter(action=action).aexists())

    @override_settings(VIEWER_RECHECK_SECONDS=0.02)
    async def test_a_revoked_link_ends_what_it_opened(self):
        async with self.open() as socket:
            await socket.until("hello")
            await sync_to_async(Share.objects.revoke)(self.share)
            self.assertEqual(await socket.closed(), 4404)

    @override_settings(VIEWER_RECHECK_SECONDS=0.02)
    async def test_so_does_one_that_expires(self):
        async with self.open() as socket:
            await socket.until("hello")
            await Share.objects.filter(pk=self.share.pk).aupdate(expires_at=timezone.now())
            self.assertEqual(await socket.closed(), 4404)

    async def test_refusals(self):
        for token in ("x", self.share.token + "A", "sss_a.b"):
            async with self.open(token) as socket:
                self.assertEqual(await socket.closed(), 4404)
        async with self.open(query="after=x") as socket:
            self.assertEqual(await socket.closed(), 4400)
        path = "/api/shared/sss_a.b/events"
        self.assertEqual(await refusal(path), (404, "not_found"))
        self.assertEqual((await refusal(path, method="POST"))[0], 405)

    async def test_by_server_sent_events(self):
        await store(self.run_, "one")
        await finish(self.run_)
        status, _, body = await fetch(f"/api/shared/{self.share.token}/events")
        self.assertEqual(status, 200)
        self.assertIn(b'"text":"one"', body)
        self.assertIn(b"event: end", body)
        self.assertNotIn(b"SECRET_NAME", body)
