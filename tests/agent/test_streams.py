"""The agent endpoints: POST, and the two steps for EventSource."""

import asyncio
import json
import threading
from datetime import timedelta
from unittest import mock

from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models.functions import Now
from django.test import TransactionTestCase, override_settings

from runs.models import AgentSession, Limit, Run, Status
from runs.streaming import database
from runs.streaming.deletion import delete_run
from runs.web import agent_streams
from tests.agent.support import SECONDS, AgentCase, needs_sdk
from tests.doubles.anthropic import Say, Use
from tests.factories import make_run
from tests.people import make_people
from tests.web.asgi_client import FOREIGN_ORIGIN, Call, fetch, refusal, session_of, token_of

JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"accept", b"text/event-stream")]
PROMPT = json.dumps({"prompt": "Say hello."}).encode()


async def prepare(headers, body=PROMPT) -> tuple[int, dict]:
    status, _, answer = await fetch(
        "/api/stream/agent/init", [*headers, *JSON], method="POST", body=body
    )
    return status, json.loads(answer)


@override_settings(ANTHROPIC_API_KEY="key", SANDBOX="local", LOCAL_NETWORK=True)
class SessionTests(TransactionTestCase):
    """Nothing is carried here: the runs stay queued."""

    def setUp(self):
        self.enterContext(mock.patch("runs.kinds.find_spec", return_value=True))
        self.people = make_people()
        self.alice, self.bob = token_of(self.people.alice), token_of(self.people.bob)
        self.addCleanup(database.close_connections)

    async def prepared(self) -> str:
        status, answer = await prepare(self.alice)
        self.assertEqual((status, list(answer)), (200, ["sessionId"]))
        return f"/api/stream/agent/{answer['sessionId']}"

    async def run_of(self, path, headers) -> str:
        async with Call(path, headers) as call:
            self.assertEqual(call.status, 200)
            return json.loads((await call.event()).data)["id"]

    async def test_the_first_get_launches_and_later_ones_attach(self):
        path = await self.prepared()
        self.assertEqual(await Run.objects.acount(), 0)
        first = await self.run_of(path, self.alice)
        self.assertEqual(await self.run_of(path, self.alice), first)
        run = await Run.objects.aget()
        self.assertEqual((run.public_id, run.kind, run.program), (first, "agent", "Say hello."))
        self.assertEqual((await AgentSession.objects.aget()).prompt, "")

    async def test_two_at_the_same_time_launch_one_run(self):
        path = await self.prepared()
        found = await asyncio.gather(*(self.run_of(path, self.alice) for _ in range(4)))
        self.assertEqual(len(set(found)), 1)
        self.assertEqual(await Run.objects.acount(), 1)

    def test_two_processes_launch_one_run(self):
        session = AgentSession.objects.prepare(self.people.alice, "Say hello.")
        spec = agent_streams.agent_spec("Say hello.")
        start, found = threading.Barrier(4), []

        def launch():
            start.wait()
            launched = agent_streams._launched(
                self.people.alice, session.public_id, spec, "127.0.0.1"
            )
            found.append(launched.run.pk)
            connection.close()

        threads = [threading.Thread(target=launch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [Run.objects.get().pk] * 4)

    async def test_to_others_it_does_not_exist(self):
        root = await sync_to_async(token_of)(self.people.root)
        path = await self.prepared()
        for launched in (False, True):
            for headers in (self.bob, root):
                self.assertEqual(await refusal(path, headers), (404, "not_found"))
            if not launched:
                await self.run_of(path, self.alice)
        self.assertEqual(await Run.objects.acount(), 1)

    async def test_a_waiting_session_expires(self):
        path = await self.prepared()
        await AgentSession.objects.aupdate(created_at=Now() - timedelta(minutes=61))
        self.assertEqual(await refusal(path, self.alice), (404, "not_found"))
        self.assertEqual(await Run.objects.acount(), 0)
        await self.prepared()
        self.assertEqual(await AgentSession.objects.acount(), 1)

    async def test_a_launched_one_does_not(self):
        path = await self.prepared()
        first = await self.run_of(path, self.alice)
        await AgentSession.objects.aupdate(created_at=Now() - timedelta(days=9))
        await self.prepared()
        self.assertEqual(await self.run_of(path, self.alice), first)

    async def test_it_goes_with_its_run(self):
        path = await self.prepared()
        await self.run_of(path, self.alice)
        await Run.objects.aupdate(status=Status.CANCELLED)
        await sync_to_async(delete_run)(await Run.objects.aget(), "alice", "Test.")
        self.assertEqual(await refusal(path, self.alice), (404, "not_found"))

    @mock.patch.object(type(AgentSession.objects.all()), "WAITING", 2)
    async def test_not_too_many_wait(self):
        await self.prepared()
        await self.prepared()
        status, answer = await prepare(self.alice)
        self.assertEqual((status, answer["error"]["code"]), (429, "quota"))
        self.assertEqual((await prepare(self.bob))[0], 200)

    async def test_a_session_waits_until_there_is_room(self):
        path = await self.prepared()
        await Limit.objects.acreate(launches_per_hour=0)
        self.assertEqual(await refusal(path, self.alice), (429, "quota"))
        await Limit.objects.aupdate(launches_per_hour=1)
        await self.run_of(path, self.alice)

    async def test_only_our_pages_launch(self):
        path = await self.prepared()
        login = await sync_to_async(session_of)(self.people.alice)
        for headers in (login, [*login, *EVENTS, *FOREIGN_ORIGIN]):
            self.assertEqual(await refusal(path, headers), (403, "forbidden"))
        self.assertEqual(await Run.objects.acount(), 0)
        await self.run_of(path, [*login, *EVENTS])

    async def test_a_run_is_resumed(self):
        path = await self.prepared()
        run = await sync_to_async(make_run)(
            self.people.alice, chunks=["a", "b", "c"], kind="agent", program="Say hello."
        )
        await AgentSession.objects.aupdate(run=run, launched=True)
        for sent, texts in (([], ["a", "b", "c"]), ([last_id(run, 2)], ["c"])):
            for address, how in ((path, "GET"), ("/api/stream/agent", "POST")):
                if how == "POST" and not sent:
                    continue
                headers = [*self.alice, *JSON, *sent]
                async with Call(address, headers, method=how, body=PROMPT) as call:
                    events = await call.events()
                self.assertEqual([event.data for event in events[1:-1]], texts)
        async with Call(path, [*self.alice, last_id(run, "end")]) as call:
            self.assertEqual(call.status, 204)
        self.assertEqual(await Run.objects.acount(), 1)

    async def test_init_checks_its_prompt_and_its_caller(self):
        status, answer = await prepare(self.alice, b'{"prompt": " "}')
        self.assertEqual((status, list(answer["error"]["fields"])), (422, ["prompt"]))
        self.assertEqual((await prepare([]))[0], 401)
        with override_settings(ANTHROPIC_API_KEY=""):
            self.assertEqual((await prepare(self.alice))[0], 503)
        self.assertEqual(await AgentSession.objects.acount(), 0)


def last_id(run, cursor) -> tuple[bytes, bytes]:
    return b"last-event-id", f"{run.public_id}:{cursor}".encode()


@needs_sdk
class StreamTests(AgentCase):
    def setUp(self):
        super().setUp()
        self.token = token_of(self.alice)
        self.addCleanup(database.close_connections)

    async def test_an_agent_by_post(self):
        self.api(Use("Bash", {"command": "echo made"}), Say("Made it."))
        headers = [*self.token, *JSON]
        async with (
            self.executing(),
            Call("/api/stream/agent", headers, method="POST", body=PROMPT) as call,
        ):
            self.assertEqual(call.headers["content-type"], "text/event-stream")
            events = await self.all_of(call)
        first, start, *_, end = events
        self.assertEqual((first.type, start.type), ("run", "start"))
        self.assertEqual(json.loads(start.data), {"prompt": "Say hello."})
        types = [event.type for event in events]
        for type in ("tool_use", "tool_result", "text", "result", "program_complete"):
            self.assertIn(type, types)
        self.assertEqual(types.count("complete"), 1)
        self.assertEqual((end.type, json.loads(end.data)["status"]), ("complete", "succeeded"))
        (result,) = [event for event in events if event.type == "result"]
        self.assertEqual(json.loads(result.data)["result"], "Made it.")

    async def test_an_agent_by_event_source(self):
        self.api(Say("Hello."))
        _, answer = await prepare(self.token)
        path = f"/api/stream/agent/{answer['sessionId']}"
        async with self.executing(), Call(path, self.token) as call:
            events = await self.all_of(call)
        self.assertEqual(
            list(dict.fromkeys(event.type for event in events)),
            ["run", "start", "text", "result", "program_complete", "complete"],
        )
        # And once more, when all is over.
        async with Call(path, self.token) as call:
            again = await call.events()
        self.assertEqual([e.data for e in again], [e.data for e in events])

    async def all_of(self, call) -> list:
        with mock.patch("tests.web.asgi_client.SECONDS", SECONDS):
            return await call.events()
