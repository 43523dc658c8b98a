import json
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import override_settings

from runs.execution import dispatch
from runs.kinds import default_title
from runs.models import Limit, Run, Status
from runs.streaming import database
from tests.execution.helpers import CarryingTestCase
from tests.factories import make_run
from tests.people import make_user
from tests.web.asgi_client import (
    FOREIGN_ORIGIN,
    OUR_ORIGIN,
    Call,
    fetch,
    refusal,
    session_of,
    token_of,
)
from tests.web.test_consumers import SocketCase

WANTS_EVENTS = [(b"accept", b"text/event-stream")]
JSON = [(b"content-type", b"application/json")]


class LaunchCase(CarryingTestCase):
    def setUp(self):
        super().setUp()
        self.login = session_of(self.alice)
        self.addCleanup(database.close_connections)

    async def stream(self, name, query="", headers=()) -> list:
        """All events of a stream of a run that is carried here."""
        headers = [*self.login, *WANTS_EVENTS, *headers]
        async with self.executing(), Call(f"/api/stream/{name}", headers, query) as call:
            self.assertEqual(call.status, 200)
            return await call.events()


class LaunchTests(LaunchCase):
    async def test_a_command(self):
        events = await self.stream("command", "command=printf+'a\\n\\n+b'%3B+exit+3")
        run = await Run.objects.aget()
        first, *output, last = events
        self.assertEqual((first.type, first.last_event_id), ("run", f"{run.public_id}:0"))
        data = json.loads(first.data)
        self.assertEqual(data["id"], run.public_id)
        self.assertEqual(data["urls"]["page"], f"/runs/{run.public_id}/")
        self.assertEqual({event.type for event in output}, {"stdout"})
        self.assertEqual("".join(event.data for event in output), "a\n\n b")
        self.assertEqual((last.type, last.last_event_id), ("complete", f"{run.public_id}:end"))
        self.assertEqual(
            json.loads(last.data),
            {"status": "failed", "exit_code": 3, "run": run.public_id, "last_seq": run.last_seq},
        )

    async def test_beyond_a_limit_nothing_is_launched(self):
        await Limit.objects.acreate(launches_per_hour=1)
        events = await self.stream("command", "command=true")
        headers = [*self.login, *WANTS_EVENTS]
        status, sent, body = await fetch("/api/stream/command", headers)
        error = json.loads(body)["error"]
        self.assertEqual((status, error["code"]), (429, "quota"))
        self.assertIn("launched 1 of 1 runs", error["message"])
        self.assertGreater(int(sent["retry-after"]), 3500)
        # Who comes back launches nothing.
        first = [*headers, (b"last-event-id", events[0].last_event_id.encode())]
        self.assertEqual((await fetch("/api/stream/command", first))[0], 200)

    async def test_the_demonstration_of_structured_events(self):
        events = await self.stream("structured")
        types = [event.type for event in events]
        self.assertEqual(types[0:2], ["run", "start"])
        self.assertEqual(types.count("progress"), 3)
        self.assertEqual(types[-3:], ["result", "program_complete", "complete"])
        self.assertEqual(types.count("complete"), 1)
        self.assertIn("stdout", types)
        self.assertEqual((await Run.objects.aget()).mode, "script")

    async def test_the_demonstration_command(self):
        events = await self.stream("command")
        self.assertEqual([e.type for e in events].count("stderr"), 1)
        text = "".join(event.data for event in events if event.type == "stdout")
        self.assertEqual(text, "".join(f"Line {n}\n" for n in range(1, 6)))

    async def test_python_shows_its_prompt_and_never_runs_it(self):
        prompt = '"""\nimport os; os._exit(7)\n# %22'
        with mock.patch("runs.web.launch_streams.demonstration", return_value=DEMONSTRATION):
            events = await self.stream("python", "prompt=" + prompt.replace("\n", "%0A"))
        run = await Run.objects.aget()
        self.assertEqual(run.program, DEMONSTRATION)
        self.assertEqual(run.title, default_title('"""\nimport os; os._exit(7)\n# "'))
        self.assertEqual(
            (run.mode, run.status, run.env_names), ("notebook", "succeeded", ["PROMPT"])
        )
        text = "".join(event.data for event in events if event.type == "chunk")
        self.assertEqual(text, '"""\nimport os; os._exit(7)\n# "\n')
        (result,) = [event for event in events if event.type == "result"]
        self.assertEqual(json.loads(result.data)["text/plain"], "42")

    async def test_python_code_that_raises(self):
        events = await self.stream("python", "code=import sys%0A1/0")
        (error,) = [event for event in events if event.type == "error_msg"]
        self.assertEqual(json.loads(error.data)["name"], "ZeroDivisionError")
        self.assertNotIn("error", {event.type for event in events})
        self.assertEqual(json.loads(events[-1].data)["status"], "failed")


DEMONSTRATION = "import os\nprint(os.environ['PROMPT'])\n42"


class ResumeTests(SocketCase):
    def resume(self, event_id, name="command", headers=()):
        sent = [*self.login, (b"last-event-id", event_id.encode()), *headers]
        return Call(f"/api/stream/{name}", sent)

    async def test_it_goes_on_and_launches_nothing(self):
        run = await sync_to_async(make_run)(self.people.alice, chunks=["a", "b", "c"])
        for cursor, texts in ((0, ["a", "b", "c"]), (2, ["c"]), (3, [])):
            with self.subTest(cursor):
                async with self.resume(f"{run.public_id}:{cursor}") as call:
                    events = await call.events()
                first, *output, last = events
                # Coming back with this id must not begin the log anew.
                self.assertEqual(
                    (first.type, first.last_event_id), ("run", f"{run.public_id}:{cursor}")
                )
                self.assertEqual([event.data for event in output], texts)
                self.assertEqual(last.type, "complete")
        self.assertEqual(await Run.objects.acount(), 1)

    async def test_only_the_end_gets_204(self):
        run = await sync_to_async(make_run)(self.people.alice)
        async with self.resume(f"{run.public_id}:end") as call:
            self.assertEqual((call.status, await call.body()), (204, b""))

    async def test_refusals(self):
        foreign = await sync_to_async(make_run)(self.people.bob)
        for event_id, expected in (
            (f"{foreign.public_id}:0", (404, "not_found")),
            (f"{foreign.public_id}:end", (404, "not_found")),
            ("unknown:4", (404, "not_found")),
            ("7", (400, "bad_request")),
            ("a:b:c", (400, "bad_request")),
            ("x:-1", (400, "bad_request")),
        ):
            with self.subTest(event_id):
                headers = [*self.login, (b"last-event-id", event_id.encode())]
                self.assertEqual(await refusal("/api/stream/command", headers), expected)
        self.assertEqual(await Run.objects.acount(), 1)


class GuardTests(SocketCase):
    """Who may launch by GET. Nothing is carried here: the runs stay queued."""

    async def test_launches_that_are_refused(self):
        session = self.login[:1]
        for name, headers, expected in (
            ("nobody", WANTS_EVENTS, 401),
            ("no Accept", session, 403),
            ("an image", [*session, (b"accept", b"image/*,*/*")], 403),
            ("a foreign page", [*session, *WANTS_EVENTS, *FOREIGN_ORIGIN], 403),
            ("a sandboxed page", [*session, *WANTS_EVENTS, (b"origin", b"null")], 403),
            ("a foreign site", [*session, *WANTS_EVENTS, (b"sec-fetch-site", b"cross-site")], 403),
            ("a sister site", [*session, *WANTS_EVENTS, (b"sec-fetch-site", b"same-site")], 403),
            ("a typed address", [*session, *WANTS_EVENTS, (b"sec-fetch-site", b"none")], 403),
            ("a bad token", [*session, *WANTS_EVENTS, (b"authorization", b"Bearer x")], 401),
        ):
            for stream in ("command", "python", "structured"):
                with self.subTest(name, stream=stream):
                    status, code = await refusal(f"/api/stream/{stream}", headers)
                    self.assertEqual(status, expected)
                    self.assertEqual(code, "unauthorized" if expected == 401 else "forbidden")
        self.assertEqual(await Run.objects.acount(), 0)

    async def test_launches_that_are_not(self):
        token = await sync_to_async(token_of)(self.people.alice)
        same = [(b"sec-fetch-site", b"same-origin")]
        for name, headers in (
            ("EventSource of ours", [*self.login, *WANTS_EVENTS, *same]),
            ("no Origin", [*self.login[:1], *WANTS_EVENTS]),
            ("a token", [*token, *FOREIGN_ORIGIN]),
        ):
            with self.subTest(name):
                async with Call("/api/stream/command", headers) as call:
                    self.assertEqual((await call.event()).type, "run")
        self.assertEqual(await Run.objects.acount(), 3)

    async def test_a_client_that_leaves_ends_nothing(self):
        async with Call("/api/stream/command", [*self.login, *WANTS_EVENTS]) as call:
            await call.event()
        run = await Run.objects.aget()
        self.assertEqual((run.status, run.cancel_requested_at), (Status.QUEUED, None))

    async def test_bad_input_names_the_parameter(self):
        headers = [*self.login, *WANTS_EVENTS]
        for stream, query, field in (
            ("command", "command=", "command"),
            ("command", "command=%00", "command"),
            ("python", "code=+", "code"),
            ("python", "prompt=+", "prompt"),
            ("python", "prompt=a%00", "prompt"),
            ("python", "prompt=" + "x" * 50_001, "prompt"),
        ):
            with self.subTest(query[:20]):
                status, _, body = await fetch(f"/api/stream/{stream}", headers, query=query)
                self.assertEqual(status, 422)
                self.assertEqual(list(json.loads(body)["error"]["fields"]), [field])
        self.assertEqual(await Run.objects.acount(), 0)

    async def test_other_methods(self):
        for method in ("POST", "HEAD", "DELETE"):
            status, headers, _ = await fetch("/api/stream/command", self.login, method=method)
            self.assertEqual((status, headers["allow"]), (405, "GET"))

    async def test_a_failure_is_told_as_json(self):
        with (
            mock.patch.object(dispatch, "submit", side_effect=RuntimeError),
            self.assertLogs("runs.web.exchange", "ERROR"),
        ):
            headers = [*self.login, *WANTS_EVENTS]
            self.assertEqual(await refusal("/api/stream/command", headers), (500, "internal"))

    @override_settings(PING_SECONDS=0.01)
    async def test_silence_is_filled_with_comments(self):
        async with Call("/api/stream/command", [*self.login, *WANTS_EVENTS]) as call:
            await call.event()
            self.assertEqual(await call.piece(), b": ping\n\n")


class AgentTests(SocketCase):
    async def post(self, path, body, headers=None) -> tuple[int, str]:
        if headers is None:
            headers = [*await sync_to_async(token_of)(self.people.alice), *JSON]
        return await refusal(path, headers, method="POST", body=body)

    async def test_it_is_not_configured(self):
        for path in ("/api/stream/agent", "/api/stream/agent/init"):
            answer = await self.post(path, b'{"prompt":"hello"}')
            self.assertEqual(answer, (503, "not_configured"))
        answer = await refusal("/api/stream/agent/abc", self.login)
        self.assertEqual(answer, (404, "not_found"))

    async def test_bad_prompts(self):
        for body, expected in (
            (b"", (400, "bad_request")), (b"{", (400, "bad_request")),
            (b"[]", (400, "bad_request")),
            (b"{}", (422, "invalid")), (b'{"prompt":1}', (422, "invalid")),
            (b'{"prompt":" "}', (422, "invalid")), (b'{"prompt":"\\u0000"}', (422, "invalid")),
            (b'{"prompt":"%b"}' % (b"x" * 50_001), (422, "invalid")),
            (b'{"prompt":"%b"}' % (b"x" * 50_000), (503, "not_configured")),
            (b"x" * 2_000_000, (413, "too_large")),
        ):  # fmt: skip
            with self.subTest(body[:40]):
                self.assertEqual(await self.post("/api/stream/agent", body), expected)

    async def test_who_may_ask(self):
        body = b'{"prompt":"hello"}'
        for path in ("/api/stream/agent", "/api/stream/agent/init"):
            self.assertEqual(await self.post(path, body, JSON), (401, "unauthorized"))
            # A session without its CSRF token.
            self.assertEqual(await self.post(path, body, [*self.login, *JSON]), (403, "csrf"))
            self.assertEqual(await refusal(path, self.login), (405, "method_not_allowed"))
        token = await sync_to_async(token_of)(self.people.alice)
        form = [*token, (b"content-type", b"text/plain")]
        answer = await self.post("/api/stream/agent", body, form)
        self.assertEqual(answer, (415, "unsupported_media_type"))

    async def test_a_session_with_its_csrf_token(self):
        csrf = "a" * 32
        cookie = self.login[0][1] + f"; csrftoken={csrf}".encode()
        headers = [(b"cookie", cookie), (b"x-csrftoken", csrf.encode()), *OUR_ORIGIN, *JSON]
        answer = await self.post("/api/stream/agent", b'{"prompt":"hello"}', headers)
        self.assertEqual(answer, (503, "not_configured"))


class NobodyTests(SocketCase):
    async def test_every_way_needs_a_login(self):
        await sync_to_async(make_user)("carol")
        for path in ("/api/stream/agent/abc", "/api/stream/python", "/api/stream/structured"):
            self.assertEqual(await refusal(path, WANTS_EVENTS), (401, "unauthorized"))
