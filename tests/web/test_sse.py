import json
import threading
from contextlib import AsyncExitStack
from unittest import mock

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import SimpleTestCase, override_settings
from hypothesis import given
from hypothesis import strategies as st

from runs.models import Run, Status
from runs.streaming import follow
from runs.streaming.wire import Batch
from runs.web import sse
from tests.factories import make_run
from tests.sse_parser import Event, SseParser
from tests.streaming.helpers import finish, make_held_run
from tests.web.asgi_client import Call, fetch, refusal, session_of, token_of
from tests.web.test_consumers import SocketCase, store

# Any text, with more of what matters to the format than chance would bring.
TEXT = st.lists(
    st.one_of(
        st.sampled_from(
            ["\n", "\r", "\r\n", "data: ", "event: forged", "id: 9", ":", " ", "\ufeff"]
        ),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
).map("".join)


def lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parsed(stream: bytes) -> list[Event]:
    return SseParser().feed(stream)


class FramingTests(SimpleTestCase):
    @given(TEXT)
    def test_any_text_survives_and_forges_nothing(self, text):
        stream = sse.OPENING + sse.message("stdout", text, "r:7") + sse.message("end", "-", "r:8")
        self.assertEqual(
            parsed(stream), [Event("stdout", lf(text), "r:7"), Event("end", "-", "r:8")]
        )

    @given(TEXT)
    def test_a_comment_dispatches_nothing(self, text):
        stream = sse.comment(text) + sse.message("end", "-", "1")
        self.assertEqual(parsed(stream), [Event("end", "-", "1")])

    @given(TEXT, st.integers(1, 9))
    def test_however_the_bytes_are_cut(self, text, step):
        stream, parser, events = sse.message("stdout", text, "1"), SseParser(), []
        for start in range(0, len(stream), step):
            events += parser.feed(stream[start : start + step])
        self.assertEqual(events, [Event("stdout", lf(text), "1")])

    def test_a_trailing_newline_and_indentation_survive(self):
        for text in ("a\n", "\n", "", "  two\n\n    four\n", "\r", "a\r\nb\rc\n"):
            with self.subTest(text):
                self.assertEqual(parsed(sse.message("x", text, "1"))[0].data, lf(text))

    def test_a_chunk_whose_json_has_a_bare_cr_between_its_tokens(self):
        batch = Batch(4, 5, b'{"seq":4,"data":{"a":\r1}}\n{"seq":5}')
        events = parsed(sse._encode(batch))
        self.assertEqual([json.loads(e.data)["seq"] for e in events], [4, 5])
        self.assertEqual([e.last_event_id for e in events], ["4", "5"])


class EventsTests(SocketCase):
    def url(self, run) -> str:
        return f"/api/runs/{run.public_id}/events"

    async def finished(self, *chunks):
        return await sync_to_async(make_run)(self.people.alice, chunks=chunks)

    async def test_a_finished_run(self):
        run = await self.finished("a\n", "b\r\n")
        async with Call(self.url(run), self.login) as call:
            events = await call.events()
            self.assertEqual(call.status, 200)
            self.assertEqual(call.headers["content-type"], "text/event-stream")
            self.assertEqual(call.headers["cache-control"], "no-cache")
            self.assertEqual(call.headers["x-accel-buffering"], "no")
            self.assertNotIn("content-encoding", call.headers)
        self.assertEqual([e.type for e in events], ["status", "chunk", "chunk", "end"])
        self.assertEqual(json.loads(events[0].data)["id"], run.public_id)
        self.assertEqual([json.loads(e.data)["text"] for e in events[1:3]], ["a\n", "b\r\n"])
        self.assertEqual([e.last_event_id for e in events[1:]], ["1", "2", "end"])
        self.assertEqual(
            json.loads(events[3].data), {"status": "succeeded", "exit_code": 0, "last_seq": 2}
        )

    async def test_last_event_id_wins_over_after(self):
        run = await self.finished("a", "b", "c")
        for query, headers, seqs in (
            ("after=1", [], ["2", "3"]),
            ("after=1", [(b"last-event-id", b"2")], ["3"]),
            ("after=3", [(b"last-event-id", b"")], []),
            ("", [(b"last-event-id", b"0")], ["1", "2", "3"]),
        ):
            with self.subTest(query):
                async with Call(self.url(run), self.login + headers, query) as call:
                    events = await call.events()
                self.assertEqual([e.last_event_id for e in events if e.type == "chunk"], seqs)

    async def test_after_the_end_there_is_nothing_to_come_back_for(self):
        run = await self.finished("a")
        end = [(b"last-event-id", b"end")]
        status, headers, body = await fetch(self.url(run), self.login + end)
        self.assertEqual((status, body), (204, b""))
        self.assertNotIn("content-length", headers)

    async def test_a_live_run(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with Call(self.url(run), self.login) as call:
            self.assertEqual((await call.event()).type, "status")
            await store(run, "one")
            self.assertEqual((await call.event()).last_event_id, "1")
            await finish(run, Status.TIMED_OUT)
            self.assertEqual([e.type for e in await call.events()], ["status", "end"])

    async def test_the_first_byte_does_not_wait_for_the_log(self):
        run = await self.finished("a")
        with mock.patch.object(follow, "rows_after", side_effect=AssertionError):
            async with Call(self.url(run), self.login) as call:
                self.assertTrue((await call.piece()).startswith(b":"))
                call.task.cancel()

    @override_settings(PING_SECONDS=0.01)
    async def test_silence_is_filled_with_comments(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with Call(self.url(run), self.login) as call:
            await call.event()
            self.assertEqual([await call.piece() for _ in range(2)], [sse.PING, sse.PING])

    async def test_refusals(self):
        run = await self.finished("a")
        bob = await sync_to_async(session_of)(self.people.bob)
        for name, path, headers, more, expected in (
            ("nobody", self.url(run), [], {}, (401, "unauthorized")),
            ("a bad token", self.url(run), [(b"authorization", b"Bearer x")], {},
             (401, "unauthorized")),
            ("a foreign run", self.url(run), bob, {}, (404, "not_found")),
            ("an unknown run", "/api/runs/x/events", self.login, {}, (404, "not_found")),
            ("a cursor", self.url(run), self.login, {"query": "after=x"}, (400, "bad_request")),
            ("an id", self.url(run), [*self.login, (b"last-event-id", b"r:1")], {},
             (400, "bad_request")),
            ("a query", self.url(run), self.login, {"query": "after=%ff"}, (400, "bad_request")),
            ("a method", self.url(run), self.login, {"method": "POST"},
             (405, "method_not_allowed")),
        ):  # fmt: skip
            with self.subTest(name):
                self.assertEqual(await refusal(path, headers, **more), expected)
        _, headers, _ = await fetch(self.url(run), self.login, method="PUT")
        self.assertEqual(headers["allow"], "GET, HEAD")

    async def test_head_tells_the_headers_only(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        status, headers, body = await fetch(self.url(run), self.login, method="HEAD")
        self.assertEqual((status, body), (200, b""))
        self.assertEqual(headers["content-type"], "text/event-stream")

    @override_settings(VIEWER_RECHECK_SECONDS=0.02)
    async def test_a_deactivated_user_stops_receiving(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with Call(self.url(run), self.login) as call:
            await call.event()
            await User.objects.filter(pk=self.people.alice.pk).aupdate(is_active=False)
            self.assertIsNone(await call.event())

    async def test_two_hundred_viewers_cost_no_thread_and_no_connection(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        token = await sync_to_async(token_of)(self.people.auditor)
        made = []
        connect = connections["default"].__class__.get_new_connection

        def counted(self, parameters):
            made.append(threading.current_thread().name)
            return connect(self, parameters)

        with mock.patch.object(connections["default"].__class__, "get_new_connection", counted):
            async with AsyncExitStack() as stack:
                first = await stack.enter_async_context(Call(self.url(run), token))
                await first.event()
                threads = threading.active_count()
                others = [
                    await stack.enter_async_context(Call(self.url(run), token)) for _ in range(199)
                ]
                await store(run, "to all of them")
                for call in (first, *others):
                    while (event := await call.event()).type != "chunk":
                        pass
                    self.assertEqual(event.last_event_id, "1")
                # One more at most: the second reader thread may be born only now.
                self.assertLessEqual(threading.active_count(), threads + 1)
        readers = {name for name in made if name.startswith("database-reader")}
        self.assertLessEqual(len(readers), 2)
        self.assertLessEqual(len(made), 4, made)
        self.assertEqual(await Run.objects.acount(), 1)
