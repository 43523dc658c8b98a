"""What the site still says of runs and outputs that were deleted, and holds that keep them."""

import csv
import io
import json
from unittest import mock

from asgiref.sync import sync_to_async

from runs import access
from runs.access import AccessEvent
from runs.models import Chunk, Deletion, Hold, Run
from runs.streaming import exports, follow
from runs.streaming.deletion import decide, delete_run, steps
from tests.factories import make_run
from tests.web.asgi_client import Call, fetch, refusal

from .api_case import ApiCase
from .test_consumers import SocketCase

SENTENCE = r"^The output was deleted on \d{4}-\d\d-\d\d \d\d:\d\d UTC by retention: Too old\.$"


def delete_output(run: Run) -> Run:
    for _ in steps(decide(run, Deletion.OUTPUT, "retention", "Too old.")):
        pass
    return Run.objects.get(pk=run.pk)


class DeletedOutputTests(ApiCase):
    def setUp(self):
        run = make_run(self.alice, chunks=["a\n", {"text": "{}", "stream": "result"}, "b\n"])
        self.run_ = delete_output(run)
        self.api = f"/api/runs/{self.run_.public_id}"

    def test_the_run_says_so(self):
        told = self.get(self.alice, self.api).json()
        self.assertEqual(set(told["output_deleted"]), {"at", "by", "reason"})
        self.assertEqual((told["last_seq"], told["last_line"]), (3, ""))
        listed = self.get(self.alice, "/api/runs").json()["items"][0]
        self.assertEqual(listed["output_deleted"], told["output_deleted"])
        other = make_run(self.alice)
        self.assertIsNone(
            self.get(self.alice, f"/api/runs/{other.public_id}").json()["output_deleted"]
        )

    def test_every_way_to_read_it_answers(self):
        page = self.get(self.alice, f"{self.api}/chunks").json()
        self.assertEqual((page["items"], page["last_seq"], page["next"]), ([], 3, None))
        self.assertEqual(page["output_deleted"]["reason"], "Too old.")
        for query in ("after=1", "before=3", "at=0.1", "line=2", "q=a"):
            page = self.get(self.alice, f"{self.api}/chunks?{query}").json()
            self.assertEqual((page["items"], page["next"]), ([], None), query)
        outline = self.get(self.alice, f"{self.api}/outline").json()
        self.assertEqual((outline["buckets"], outline["last_seq"]), ([], 3))
        self.assertEqual(self.get(self.alice, f"{self.api}/marks").json()["items"], [])
        self.assertEqual(self.get(self.alice, f"{self.api}/search?q=a").json()["items"], [])

    def test_its_page_says_so_and_stays(self):
        page = self.get(self.alice, f"/runs/{self.run_.public_id}/")
        self.assertContains(page, self.run_.output_deletion)
        self.assertContains(page, "The output was deleted.")
        self.assertNotContains(page, "printed nothing")
        self.assertRegex(self.run_.output_deletion, SENTENCE)
        self.assertEqual(self.get(self.bob, f"/runs/{self.run_.public_id}/").status_code, 404)

    def test_it_is_run_again_as_any_other(self):
        again = self.post(self.alice, f"{self.api}/rerun")
        self.assertEqual(again.status_code, 201)
        self.assertIsNone(again.json()["output_deleted"])


class DeletedRunTests(ApiCase):
    def setUp(self):
        access._noted.clear()
        self.run_ = make_run(self.alice, chunks=["a\n"], title="Nightly")
        self.api, self.page = (f"{p}{self.run_.public_id}" for p in ("/api/runs/", "/runs/"))

    def delete(self, user, query=""):
        return self.call(user, "DELETE", self.api + query)

    def test_its_owner_and_auditors_are_told_who_when_and_why(self):
        self.assertEqual(self.delete(self.alice, "?reason=A+test,+no+more.").status_code, 204)
        told = r"^This run was deleted on \d{4}-.* UTC by alice: A test, no more\.$"
        for user in (self.alice, self.auditor, self.root):
            for path in ("", "/chunks", "/marks", "/access"):
                answer = self.get(user, self.api + path)
                self.assertRegex(self.assert_error(answer, 404, "not_found"), told)
            self.assertContains(
                self.get(user, f"{self.page}/"), "by alice: A test, no more.", status_code=404
            )
        for user, path in ((self.bob, self.api), (self.bob, f"{self.page}/")):
            answer = self.get(user, path)
            self.assertEqual(answer.status_code, 404)
            self.assertNotIn("alice", answer.content.decode())
        unknown = self.get(self.bob, "/api/runs/unknown")
        self.assertEqual(unknown.content, self.get(self.bob, self.api).content)
        self.assert_error(self.delete(self.alice), 404, "not_found")

    def test_what_stays_is_known_and_noted(self):
        self.delete(self.root, "?reason=" + "x" * 200)
        known = Deletion.objects.get()
        self.assertEqual((known.by, known.reason, known.what), ("root", "x" * 200, "record"))
        event = AccessEvent.objects.get(action="delete")
        self.assertEqual((event.actor_name, event.detail["reason"]), ("root", "x" * 200))
        self.assert_error(self.delete(self.alice, "?why=x"), 400, "bad_request", "why")

    def test_without_a_reason_it_says_who_wanted_it(self):
        self.delete(self.root)
        self.assertEqual(Deletion.objects.get().reason, "An administrator wanted it.")
        run = make_run(self.alice)
        client = self.client_of(self.alice)
        client.post(f"/runs/{run.public_id}/delete/", {"reason": "a\0\n b"})
        self.assertEqual(Deletion.objects.latest("pk").reason, "a b")
        run = make_run(self.alice)
        client.post(f"/runs/{run.public_id}/delete/")
        self.assertEqual(Deletion.objects.latest("pk").reason, "Its owner wanted it.")

    def test_nobody_deletes_what_is_held(self):
        hold = Hold.place(user=self.alice, reason="Case 7.", by="root")
        for user in (self.alice, self.root):
            message = self.assert_error(self.delete(user), 409, "conflict")
            self.assertIn("legal hold", message)
            page = self.client_of(user).post(f"{self.page}/delete/", follow=True)
            self.assertContains(page, "Ask an administrator to release the hold.")
        page = self.get(self.alice, f"{self.page}/")
        self.assertContains(page, "legal hold")
        self.assertNotContains(page, "Case 7.")  # it may be none of their business
        self.assertEqual(Chunk.objects.count(), 1)
        hold.release("root", "Over.")
        self.assertEqual(self.delete(self.alice).status_code, 204)

    def test_a_run_of_it_again_goes_on(self):
        again = self.post(self.alice, f"{self.api}/rerun").json()
        self.delete(self.alice)
        self.assertIsNone(Run.objects.get(public_id=again["id"]).rerun_of_id)
        self.assert_error(self.post(self.alice, f"{self.api}/rerun"), 404, "not_found")


class StreamTests(SocketCase):
    async def emptied(self, chunks=("a\n", "b\n")) -> Run:
        run = await sync_to_async(make_run)(self.people.alice, chunks=chunks)
        return await sync_to_async(delete_output)(run)

    async def test_a_socket_ends_with_the_reason(self):
        run = await self.emptied()
        for query in ("", "after=1", "after=2"):
            async with self.open(run, query) as socket:
                hello, end = await socket.json(), await socket.json()
                self.assertEqual(hello["run"]["output_deleted"]["reason"], "Too old.")
                self.assertEqual((end["type"], end["last_seq"]), ("end", 2))
                self.assertEqual(await socket.json(), {"closed": 1000})

    async def test_a_viewer_in_the_middle_of_it_is_told(self):
        run = await sync_to_async(make_run)(self.people.alice, chunks=["a\n"] * 20)
        with mock.patch.object(follow, "PAGE_ROWS", 5):
            viewer = follow.follow(run.pk)
            items = [await anext(viewer), await anext(viewer)]
            await sync_to_async(delete_output)(run)
            items += [item async for item in viewer]
        kinds = [type(item) for item in items]
        self.assertEqual(kinds[-2:], [follow.Changed, follow.Ended])
        self.assertEqual(items[1].batches[-1].last_seq, 5)
        self.assertEqual(json.loads(items[-1].run)["output_deleted"]["reason"], "Too old.")

    async def test_server_sent_events_end_with_the_reason(self):
        run = await self.emptied()
        path = f"/api/runs/{run.public_id}/events"
        _, _, body = await fetch(path, self.login)
        self.assertIn(b'"reason":"Too old."', body)
        self.assertIn(b"event: end", body)

    async def test_exports_say_it(self):
        run = await self.emptied()
        for format in ("ndjson", "json", "txt", "csv", "cast"):
            with self.subTest(format):
                url = f"/api/runs/{run.public_id}/export.{format}"
                status, _, body = await fetch(url, self.login)
                self.assertEqual(status, 200)
                self.assertIn(b"Too old.", body)
                self.assertEqual(len(body.splitlines()) > 3, False, body)
                if format == "csv":
                    rows = list(csv.DictReader(io.StringIO(body.decode())))
                    self.assertEqual((rows[0]["stream"], rows[0]["seq"]), ("system", "2"))

    async def test_an_export_in_the_middle_of_it_breaks_off(self):
        run = await sync_to_async(make_run)(self.people.alice, chunks=["a\n"] * 20)
        with mock.patch.object(exports, "PAGE_ROWS", 5):
            pieces = exports.export(run, "txt")
            await sync_to_async(next)(pieces)
            await sync_to_async(delete_output)(run)
            with self.assertRaises(exports.RunDeleted):
                await sync_to_async(list)(pieces)

    async def test_a_deleted_run_says_it_where_it_is_streamed(self):
        run = await sync_to_async(make_run)(self.people.alice)
        await sync_to_async(delete_run)(run, "alice", "Test.")
        for path in ("events", "export.txt"):
            url = f"/api/runs/{run.public_id}/{path}"
            self.assertEqual(await refusal(url, self.login), (404, "not_found"))
            async with Call(url, self.login) as call:
                self.assertIn(b"by alice: Test.", await call.body())
        async with self.open(run) as socket:
            self.assertEqual(await socket.json(), {"closed": 4404})
