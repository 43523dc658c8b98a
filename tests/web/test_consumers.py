import asyncio
from unittest import mock

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import TransactionTestCase, override_settings

from runs.execution import dispatch
from runs.models import Run, Status
from runs.streaming import database, feed
from runs.streaming.follow import Output
from runs.streaming.wire import Batch
from runs.web import consumers, frames
from tests.factories import make_chunks, make_run
from tests.people import make_people
from tests.streaming.helpers import finish, make_held_run
from tests.web.asgi_client import FOREIGN_ORIGIN, OUR_ORIGIN, Socket, session_of, token_of


@sync_to_async
def store(run: Run, *texts) -> None:
    """Store chunks as another process would: nobody here is told."""
    run.refresh_from_db()
    make_chunks(run, texts, first_seq=run.last_seq + 1)
    Run.objects.filter(pk=run.pk).update(last_seq=run.last_seq + len(texts))


class SocketCase(TransactionTestCase):
    def setUp(self):
        self.people = make_people()
        self.login = session_of(self.people.alice) + OUR_ORIGIN
        looking = mock.patch.object(feed, "LOOK_SECONDS", 0.02)
        looking.start()
        self.addCleanup(looking.stop)
        self.addCleanup(database.close_connections)

    def open(self, run, query="", headers=None):
        headers = self.login if headers is None else headers
        return Socket(f"/ws/runs/{run.public_id}/", headers, query)


class WatchingTests(SocketCase):
    async def test_a_finished_run_is_told_whole_and_the_socket_closed(self):
        run = await sync_to_async(make_run)(self.people.alice, chunks=["a\n", "b\n"])
        async with self.open(run) as socket:
            hello, chunks, end = [await socket.json() for _ in range(3)]
            self.assertEqual((hello["type"], hello["run"]["id"]), ("hello", run.public_id))
            self.assertEqual([c["text"] for c in chunks["chunks"]], ["a\n", "b\n"])
            self.assertEqual((chunks["type"], chunks["last_seq"]), ("chunks", 2))
            self.assertEqual(
                end, {"type": "end", "status": "succeeded", "exit_code": 0, "last_seq": 2}
            )
            self.assertEqual(await socket.json(), {"closed": 1000})

    async def test_a_cursor_gives_what_follows_it(self):
        run = await sync_to_async(make_run)(self.people.alice, chunks=["a", "b", "c"])
        async with self.open(run, "after=2") as socket:
            frame = await socket.until("chunks")
            self.assertEqual([c["seq"] for c in frame["chunks"]], [3])

    async def test_a_live_run_is_followed_to_its_end(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open(run) as socket:
            self.assertEqual((await socket.json())["type"], "hello")
            await store(run, "one")
            self.assertEqual((await socket.until("chunks"))["last_seq"], 1)
            await store(run, "two")
            self.assertEqual((await socket.until("chunks"))["last_seq"], 2)
            await finish(run, Status.FAILED)
            self.assertEqual((await socket.until("status"))["run"]["status"], "failed")
            self.assertEqual((await socket.json())["type"], "end")
            self.assertEqual(await socket.closed(), 1000)

    @override_settings(PING_SECONDS=0.01)
    async def test_silence_is_filled_with_pings(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open(run) as socket:
            self.assertEqual(await socket.until("ping"), {"type": "ping"})
            self.assertEqual(await socket.until("ping"), {"type": "ping"})

    async def test_a_run_that_is_deleted_while_watched(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open(run) as socket:
            await socket.until("hello")
            await sync_to_async(run.delete)()
            self.assertEqual(await socket.closed(), 4404)

    async def test_a_pump_that_fails_closes_its_socket(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        with (
            mock.patch.object(frames, "hello", side_effect=OSError("broken")),
            self.assertLogs("runs.web.consumers", "ERROR"),
        ):
            async with self.open(run) as socket:
                self.assertEqual(await socket.closed(), 1011)

    async def test_a_client_that_leaves_leaves_nothing_behind(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open(run) as socket:
            await socket.until("hello")
        self.assertIsNone(socket.task.result())
        self.assertEqual(feed.feeds._feeds, {})

    async def test_a_server_that_stops_cancels_it(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open(run) as socket:
            await socket.until("hello")
            socket.task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await socket.task
        self.assertEqual(feed.feeds._feeds, {})


class RefusalTests(SocketCase):
    async def code(self, path, headers, query="") -> int:
        async with Socket(path, headers, query) as socket:
            self.assertEqual((await socket.next())["type"], "websocket.accept")
            self.assertEqual((message := await socket.next())["type"], "websocket.close")
            return message["code"]

    async def test_who_gets_what(self):
        run = await sync_to_async(make_run)(self.people.alice)
        path = f"/ws/runs/{run.public_id}/"
        bob = await sync_to_async(session_of)(self.people.bob) + OUR_ORIGIN
        alice = self.login[:1]
        for name, path_, headers, query, code in (
            ("nobody", path, OUR_ORIGIN, "", 4401),
            ("a bad token", path, [(b"authorization", b"Bearer x")], "", 4401),
            ("a token and a cookie: the token counts", path,
             [*self.login, (b"authorization", b"Bearer x")], "", 4401),
            ("another site", path, alice + FOREIGN_ORIGIN, "", 4401),
            ("another port", path, [*alice, (b"origin", b"http://localhost:9000")], "", 4401),
            ("another scheme", path, [*alice, (b"origin", b"https://localhost:8000")], "", 4401),
            ("no origin", path, alice, "", 4401),
            ("a foreign run", path, bob, "", 4404),
            ("an unknown run", "/ws/runs/nothing/", self.login, "", 4404),
            ("an unknown path", "/ws/else/", self.login, "", 4404),
            ("a word as cursor", path, self.login, "after=x", 4400),
            ("a negative cursor", path, self.login, "after=-1", 4400),
            ("a huge cursor", path, self.login, "after=" + "9" * 5000, 4400),
            ("a broken query", path, self.login, "after=%ff", 4400),
            ("another list", "/ws/runs/", bob[:1] + FOREIGN_ORIGIN, "", 4401),
        ):  # fmt: skip
            with self.subTest(name):
                self.assertEqual(await self.code(path_, headers, query), code)

    async def test_a_token_needs_no_origin_and_an_auditor_sees_all(self):
        run = await sync_to_async(make_run)(self.people.alice)
        token = await sync_to_async(token_of)(self.people.auditor)
        for headers in (token, token + FOREIGN_ORIGIN):
            async with self.open(run, headers=headers) as socket:
                await socket.until("end")

    @override_settings(VIEWER_RECHECK_SECONDS=0.02)
    async def test_a_deactivated_user_stops_receiving(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open(run) as socket:
            await socket.until("hello")
            await User.objects.filter(pk=self.people.alice.pk).aupdate(is_active=False)
            self.assertEqual(await socket.closed(), 4401)

    @override_settings(VIEWER_RECHECK_SECONDS=0.02)
    async def test_an_auditor_who_is_no_more_stops_receiving(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        headers = await sync_to_async(token_of)(self.people.auditor)
        async with self.open(run, headers=headers) as socket:
            await socket.until("hello")
            await sync_to_async(self.people.auditor.user_permissions.clear)()
            self.assertEqual(await socket.closed(), 4404)


class ClientMessageTests(SocketCase):
    def setUp(self):
        super().setUp()
        self.run_ = make_held_run(self.people.alice)

    async def answer(self, message, headers=None) -> str:
        """The code of the error that a message gets; the socket lives on."""
        async with self.open(self.run_, headers=headers) as socket:
            await socket.until("hello")
            socket.say(message)
            error = await socket.until("error")
            self.assertTrue(error["message"].endswith("."))
            await store(self.run_, "still here")
            await socket.until("chunks")
            return error["code"]

    async def test_cancel_asks_for_the_runs_end(self):
        async with self.open(self.run_) as socket:
            await socket.until("hello")
            socket.say({"type": "cancel"})
            while not (await Run.objects.aget()).cancel_requested_at:
                await asyncio.sleep(0)
            await finish(self.run_, Status.CANCELLED)
            self.assertEqual((await socket.until("end"))["status"], "cancelled")

    async def test_who_only_looks_may_not_act(self):
        auditor = await sync_to_async(token_of)(self.people.auditor)
        for message in ({"type": "cancel"}, {"type": "stdin", "text": "x"}):
            self.assertEqual(await self.answer(message, auditor), "forbidden")
        self.assertIsNone((await Run.objects.aget()).cancel_requested_at)

    async def test_a_superuser_may_act(self):
        root = await sync_to_async(token_of)(self.people.root)
        async with self.open(self.run_, headers=root) as socket:
            await socket.until("hello")
            with mock.patch.object(dispatch, "cancel", return_value=False) as cancel:
                socket.say({"type": "cancel"})
                self.assertEqual((await socket.until("error"))["code"], "conflict")
            cancel.assert_called_once()

    async def test_stdin_is_written_and_ended(self):
        with mock.patch.object(dispatch, "send_stdin") as send_stdin:
            async with self.open(self.run_) as socket:
                await socket.until("hello")
                socket.say({"type": "stdin", "task": 2, "text": "hello\n"})
                socket.say({"type": "stdin", "task": 2, "eof": True})
                socket.say({"type": "nothing"})
                await socket.until("error")
        calls = [call.args[1:] for call in send_stdin.await_args_list]
        self.assertEqual(calls, [(2, "hello\n"), (2, None)])

    async def test_stdin_that_is_not_accepted(self):
        self.assertEqual(await self.answer({"type": "stdin", "text": "x"}), "conflict")

    async def test_nonsense_gets_an_error_and_the_socket_lives_on(self):
        for message in (
            "{", "[]", "null", '"cancel"', "", "{}", {"type": "x"}, {"type": ["cancel"]}, b"\0\xff",
            {"type": "stdin"}, {"type": "stdin", "text": 1}, {"type": "stdin", "eof": "yes"},
            {"type": "stdin", "task": "0", "text": "x"}, {"type": "stdin", "task": True},
            '{"type": "stdin", "text": "\\ud800"}', "[" * 100_000,
        ):  # fmt: skip
            with self.subTest(message):
                self.assertEqual(await self.answer(message), "bad_request")
        self.assertEqual(await self.answer("x" * 300_000), "too_large")

    async def test_a_message_that_fails_does_not_end_the_socket(self):
        with (
            mock.patch.object(dispatch, "cancel", side_effect=RuntimeError),
            self.assertLogs("runs.web.consumers", "ERROR"),
        ):
            self.assertEqual(await self.answer({"type": "cancel"}), "internal")

    async def test_a_flood_of_messages_is_answered_one_by_one(self):
        async with self.open(self.run_) as socket:
            await socket.until("hello")
            for _ in range(500):
                socket.say("?")
            for _ in range(500):
                self.assertEqual((await socket.until("error"))["code"], "bad_request")


class FrameTests(SocketCase):
    def test_batches_that_gathered_share_frames_of_limited_size(self):
        batches = [Batch(n, n, b'"%b"' % (b"x" * 100_000)) for n in range(1, 6)]
        found = list(frames.chunks(batches))
        self.assertEqual([frame.count("x" * 100_000) for frame in found], [2, 2, 1])
        self.assertTrue(found[0].endswith('],"last_seq":2}'))

    def test_a_large_chunk_travels_alone(self):
        large = Batch(2, 2, b'"%b"' % (b"x" * 900_000))
        found = list(frames.chunks([Batch(1, 1, b"1"), large, Batch(3, 3, b"3")]))
        self.assertEqual(len(found), 3)

    def test_viewers_share_the_frame_of_a_batch(self):
        batch = Batch(1, 2, b'{"seq":1}\n{"seq":2}')
        first, second = (next(frames.chunks(Output([batch]).batches)) for _ in range(2))
        self.assertIs(first, second)
        self.assertEqual(first, '{"type":"chunks","chunks":[{"seq":1},{"seq":2}],"last_seq":2}')

    def test_what_is_shared_is_bounded(self):
        for seq in range(200):
            next(frames.chunks([Batch(seq, seq, b"x" * 50_000)]))
        self.assertLess(frames._shared._bytes, 1_100_000)
        self.assertLess(len(frames._shared._kept), 25)

    def test_a_consumer_has_no_layer_channel(self):
        self.assertFalse(hasattr(consumers.watch_run, "channel_layer_alias"))
