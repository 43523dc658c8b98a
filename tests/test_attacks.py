"""What was once possible and must never be again, each as the attack that did it."""

import asyncio
import time
from unittest.mock import patch
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client, SimpleTestCase, TransactionTestCase, override_settings

from runs.kinds import Spec
from runs.models import Run, Status
from runs.streaming import database
from runs.streaming.deletion import delete_run
from runs.streaming.exports import export
from runs.streaming.feed import announce
from runs.streaming.wire import Batch
from runs.web import api_runs
from runs.web.launch_events import PythonView
from tests.factories import make_run
from tests.people import make_people
from tests.sandboxes.support import LocalCase
from tests.web.api_case import ApiCase
from tests.web.asgi_client import Socket, session_of

BIG = 1024 * 1024


class SandboxAttacks(LocalCase):
    async def test_no_link_of_a_task_makes_the_server_write_elsewhere(self):
        # A program too long for an argument becomes a file in the directory that the
        # tasks share; the ones that run already may have put a link there.
        outside = self.top / "outside"
        programs = [("bash", "true"), ("bash", "true #" + "x" * 140_000)]
        async with self.backend() as backend, self.launch(backend, programs) as run:
            home = run.sandbox._place.workdir.home
            for name in ("command_0.sh", "command_1.sh", "main_1.py"):
                (home / name).symlink_to(outside)
            await asyncio.wait({run.run}, timeout=10)
            self.assertIn("could not be written", str(run.run.exception()))
        self.assertFalse(outside.exists())


class LogAttacks(ApiCase):
    """Chunks so large that a page of them is read in several steps."""

    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.logged = make_run(cls.alice, chunks=[f"{n}" * BIG for n in range(6)] + ["needle\n"])
        cls.path = f"/api/runs/{cls.logged.public_id}/chunks"

    def pages(self, **query):
        """The seqs of all pages; `next` is followed as the contract says."""
        found, turn = [], "before" if "before" in query else "after"
        for _ in range(20):
            page = self.get(self.alice, self.path, **query).json()
            found += [item["seq"] for item in page["items"]]
            if page["next"] is None:
                return sorted(found)
            query[turn] = page["next"]
        raise AssertionError("the pages never end")

    def test_next_leads_to_the_end_of_a_log_of_large_chunks(self):
        everything = list(range(1, 8))
        self.assertEqual(self.pages(after=0), everything)
        self.assertEqual(self.pages(before=8), everything)
        self.assertEqual(self.pages(after=0, q="needle"), [7])

    def test_last_seq_is_the_runs_own_whatever_was_asked_for(self):
        page = self.get(self.alice, self.path, after=10**15).json()
        self.assertEqual(page["last_seq"], 7)

    def test_a_filter_beyond_the_calendar_is_refused(self):
        client = self.client_of(self.alice)
        query = urlencode({"created_after": "0001-01-01T00:00:00+23:00"})
        self.assertEqual(client.get(f"/runs/?{query}").status_code, 400)

    def test_refusals_of_the_outer_middleware_cannot_be_framed(self):
        refused = Client().get("/", headers={"host": "evil.example"})
        self.assertEqual(refused.status_code, 400)
        self.assertIn("frame-ancestors", refused.headers.get("Content-Security-Policy", ""))


class ResultAttacks(SimpleTestCase):
    def test_a_deeply_nested_result_does_not_break_the_stream(self):
        deep = b"[" * 400 + b"]" * 400
        line = (
            b'{"seq":1,"t":0.0,"line":0,"stream":"result","task":0,"text":"x\\n",'
            b'"data":{"application/json":' + deep + b"}}"
        )
        [event] = PythonView().events("RUN", Batch(1, 1, line))
        self.assertIn(b"event: result\n", event)


class Races(TransactionTestCase):
    def setUp(self):
        self.people = make_people()
        self.addCleanup(database.close_connections)

    def test_a_run_deleted_while_it_is_launched_again(self):
        run = make_run(self.people.alice)

        def delete_meanwhile(request, optional=False):
            delete_run(Run.objects.get(pk=run.pk), "alice", "Test.")
            return {}

        client = Client(raise_request_exception=False)
        client.force_login(self.people.alice)
        with patch.object(api_runs, "read_json", delete_meanwhile):
            answer = client.post(f"/api/runs/{run.public_id}/rerun")
        self.assertIn(answer.status_code, (201, 404))

    def test_an_export_of_a_run_that_is_deleted_does_not_look_whole(self):
        run = make_run(self.people.alice, chunks=["a" * BIG, "b" * BIG, "c" * BIG])
        pieces = export(run, "json")
        next(pieces), next(pieces)
        delete_run(Run.objects.get(pk=run.pk), "alice", "Test.")
        whole = False
        try:
            whole = b"".join(pieces).endswith(b"]}\n")
        except Exception:  # whichever: it cuts the connection
            return
        self.assertFalse(whole)

    @override_settings(VIEWER_RECHECK_SECONDS=0.02)
    async def test_who_is_no_auditor_any_more_stops_receiving_others_runs(self):
        spec = Spec(kind="command", program="true", title="first")
        run = await sync_to_async(Run.objects.launch)(self.people.alice, spec)
        await Run.objects.filter(pk=run.pk).aupdate(status=Status.RUNNING)
        headers = await sync_to_async(session_of)(self.people.auditor)
        headers.append((b"origin", b"http://localhost:8000"))
        async with Socket("/ws/runs/", headers) as socket:
            await socket.until("runs")
            auditor = await User.objects.aget(pk=self.people.auditor.pk)
            await auditor.user_permissions.aclear()
            deadline = time.monotonic() + 3
            while await self._receives_news_of(socket, run):
                self.assertLess(time.monotonic(), deadline, "still receives the runs of others")

    async def _receives_news_of(self, socket: Socket, run: Run) -> bool:
        run.title += "."
        await Run.objects.filter(pk=run.pk).aupdate(title=run.title)
        announce(run)
        try:
            async with asyncio.timeout(0.3):
                return "closed" not in await socket.json()
        except TimeoutError:
            return False
