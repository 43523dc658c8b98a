import json
from unittest import mock

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import override_settings

from runs.streaming import exports
from runs.web.downloads import AccessLost
from tests.factories import make_run
from tests.web.asgi_client import Call, fetch, refusal, session_of
from tests.web.test_consumers import SocketCase


class DownloadTests(SocketCase):
    def setUp(self):
        super().setUp()
        self.run_ = make_run(
            self.people.alice,
            chunks=["a\n", {"text": "e\n", "stream": "stderr"}, {"text": "b\n", "task": 1}],
            title='x"; filename="evil.html\r\n',
            chain="ab" * 32,
            signature="signed+/=",
        )

    def url(self, format="ndjson", run=None) -> str:
        return f"/api/runs/{(run or self.run_).public_id}/export.{format}"

    async def test_every_format_is_a_download(self):
        for format, kind in (
            ("ndjson", "application/x-ndjson"), ("json", "application/json"),
            ("txt", "text/plain; charset=utf-8"), ("cast", "application/x-asciicast"),
            ("csv", "text/csv; charset=utf-8"),
        ):  # fmt: skip
            with self.subTest(format):
                status, headers, body = await fetch(self.url(format), self.login)
                self.assertEqual((status, headers["content-type"]), (200, kind))
                self.assertEqual(
                    headers["content-disposition"],
                    f'attachment; filename="run-{self.run_.public_id}.{format}"',
                )
                self.assertEqual(headers["x-content-type-options"], "nosniff")
                expected = await sync_to_async(self._expected)(format)
                self.assertEqual(body, expected)
                proof = headers["x-run-chain"], headers["x-run-signature"]
                self.assertEqual(proof, ("ab" * 32, "signed+/="))

    def _expected(self, format) -> bytes:
        return b"".join(exports.export(self.run_, format))

    async def test_it_is_narrowed_by_the_query(self):
        for query, seqs in (
            ("from=2", [2, 3]), ("to=2", [1, 2]), ("from=2&to=2", [2]), ("task=1", [3]),
            ("stream=stderr", [2]), ("stream=stdout&stream=stderr", [1, 2, 3]),
            ("stream=stdout,event&from=", [1, 3]), ("from=9", []),
        ):  # fmt: skip
            with self.subTest(query):
                _, _, body = await fetch(self.url("json"), self.login, query=query)
                self.assertEqual([c["seq"] for c in json.loads(body)["chunks"]], seqs)

    async def test_refusals(self):
        bob = await sync_to_async(session_of)(self.people.bob)
        for path, headers, more, expected in (
            (self.url(), [], {}, (401, "unauthorized")),
            (self.url(), bob, {}, (404, "not_found")),
            ("/api/runs/x/export.txt", self.login, {}, (404, "not_found")),
            (self.url("pdf"), self.login, {}, (404, "not_found")),
            (self.url(), self.login, {"method": "DELETE"}, (405, "method_not_allowed")),
            (self.url(), self.login, {"query": "from=-1"}, (400, "bad_request")),
            (self.url(), self.login, {"query": "to=1.5"}, (400, "bad_request")),
            (self.url(), self.login, {"query": "task=x"}, (400, "bad_request")),
            (self.url(), self.login, {"query": "stream=stdin"}, (400, "bad_request")),
            (self.url(), self.login, {"query": "form=2"}, (400, "bad_request")),
        ):
            with self.subTest(path=path, **more):
                self.assertEqual(await refusal(path, headers, **more), expected)

    async def test_head_reads_nothing(self):
        with mock.patch.object(exports, "rows_after", side_effect=AssertionError):
            status, headers, body = await fetch(self.url(), self.login, method="HEAD")
        self.assertEqual((status, body), (200, b""))
        self.assertIn("attachment", headers["content-disposition"])

    async def test_a_client_that_stalls_is_waited_for(self):
        run = await sync_to_async(make_run)(self.people.alice, chunks=["x" * 60_000] * 40)
        read = mock.Mock(wraps=exports.rows_after)
        with mock.patch.object(exports, "rows_after", read):
            # It takes the headers and the run.
            async with Call(self.url(run=run), self.login, takes=2) as call:
                await call.piece()
                for _ in range(50):
                    await sync_to_async(int)()
                self.assertEqual(read.call_count, 1)
                call.take_all()
                self.assertEqual((await call.body()).count(b"\n"), 40)

    @override_settings(VIEWER_RECHECK_SECONDS=0)
    async def test_a_deactivated_user_does_not_get_the_rest(self):
        async with Call(self.url(), self.login, takes=1) as call:
            await User.objects.filter(pk=self.people.alice.pk).aupdate(is_active=False)
            call.take_all()
            with self.assertRaises(AccessLost):
                await call.body()

    async def test_a_log_that_cannot_be_read_cuts_the_download(self):
        with mock.patch.object(exports, "rows_after", side_effect=RuntimeError("broken")):
            async with Call(self.url(), self.login) as call:
                with self.assertRaisesRegex(RuntimeError, "broken"):
                    await call.body()
