from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import override_settings

from runs.models import Run, Status
from runs.streaming.feed import announce
from tests.factories import make_run
from tests.streaming.helpers import finish, make_held_run
from tests.web.asgi_client import Socket, token_of
from tests.web.test_consumers import SocketCase, store


class RunListTests(SocketCase):
    def open_list(self, headers=None):
        return Socket("/ws/runs/", self.login if headers is None else headers)

    async def until_run(self, socket, holds) -> dict:
        while not holds(run := (await socket.until("run"))["run"]):
            pass
        return run

    async def test_the_newest_visible_runs_come_first(self):
        made = await sync_to_async(self._make)(52)
        await sync_to_async(make_run)(self.people.bob)
        async with self.open_list() as socket:
            frame = await socket.json()
            self.assertEqual(frame["type"], "runs")
            newest = [run.public_id for run in reversed(made)][:50]
            self.assertEqual([run["id"] for run in frame["runs"]], newest)

    def _make(self, count):
        return [make_run(self.people.alice) for _ in range(count)]

    async def test_changes_and_progress_are_told(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open_list() as socket:
            await socket.until("runs")
            await store(run, "more")
            await self.until_run(socket, lambda run: run["last_seq"] == 1)
            await finish(run)
            await self.until_run(socket, lambda run: run["status"] == Status.SUCCEEDED)

    async def test_a_new_run_appears_and_a_foreign_one_does_not(self):
        async with self.open_list() as socket:
            await socket.until("runs")
            foreign = await sync_to_async(make_run)(self.people.bob, Status.RUNNING)
            announce(foreign)
            own = await sync_to_async(make_run)(self.people.alice, Status.RUNNING)
            announce(own)
            self.assertEqual((await socket.until("run"))["run"]["id"], own.public_id)

    async def test_an_auditor_sees_all(self):
        run = await sync_to_async(make_run)(self.people.alice)
        headers = await sync_to_async(token_of)(self.people.auditor)
        async with self.open_list(headers) as socket:
            self.assertEqual((await socket.json())["runs"][0]["id"], run.public_id)

    async def test_it_takes_no_orders_and_survives_them(self):
        async with self.open_list() as socket:
            await socket.until("runs")
            socket.say({"type": "cancel"})
            self.assertEqual((await socket.until("error"))["code"], "bad_request")
            run = await sync_to_async(make_run)(self.people.alice, Status.RUNNING)
            announce(run)
            await socket.until("run")

    async def test_nobody_is_refused(self):
        async with self.open_list([]) as socket:
            self.assertEqual(await socket.closed(), 4401)

    @override_settings(VIEWER_RECHECK_SECONDS=0.02)
    async def test_a_deactivated_user_stops_receiving(self):
        async with self.open_list() as socket:
            await socket.until("runs")
            await User.objects.filter(pk=self.people.alice.pk).aupdate(is_active=False)
            self.assertEqual(await socket.closed(), 4401)

    async def test_a_deleted_run_is_no_trouble(self):
        run = await sync_to_async(make_held_run)(self.people.alice)
        async with self.open_list() as socket:
            await socket.until("runs")
            await Run.objects.filter(pk=run.pk).adelete()
            announce(run)
            other = await sync_to_async(make_run)(self.people.alice, Status.RUNNING)
            announce(other)
            await self.until_run(socket, lambda run: run["id"] == other.public_id)
