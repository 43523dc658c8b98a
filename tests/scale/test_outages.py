"""PostgreSQL, Redis or a web process away for a while."""

import json
import signal
import threading
import time
from contextlib import suppress

import pytest
import redis
from websockets.exceptions import WebSocketException

from tests.cluster import Web, until

from .case import LEASE_SECONDS, ClusterCase

# Of a line of input to its echo; without Redis it is a second, by the looks at the database.
QUICK_SECONDS = 0.4


class Watcher(threading.Thread):
    """A viewer that comes back after the last chunk it has, to the next web process."""

    def __init__(self, run_id: str, *webs: Web):
        super().__init__(daemon=True)
        self.run_id, self.webs = run_id, webs
        self.chunks: list[dict] = []
        self.end: dict | None = None
        self.connections = 0
        self.start()

    def run(self) -> None:
        while self.end is None:
            after = self.chunks[-1]["seq"] if self.chunks else 0
            web = self.webs[self.connections % len(self.webs)]
            self.connections += 1
            with suppress(WebSocketException, OSError, EOFError), \
                    web.socket(self.run_id, after) as socket:  # fmt: skip
                for frame in socket:
                    self._take(json.loads(frame))
            time.sleep(0.1)

    def _take(self, message: dict) -> None:
        if message["type"] == "chunks":
            self.chunks += message["chunks"]
        elif message["type"] == "end":
            self.end = message


class OutageCase(ClusterCase):
    def assert_saw_all(self, watcher: Watcher) -> None:
        watcher.join(30)
        self.assertEqual(watcher.chunks, self.web.chunks(watcher.run_id))

    def is_quick(self, socket) -> bool:
        # One could be so by chance: the database is looked at in this moment.
        return all(self.round_trip(socket) < QUICK_SECONDS for _ in range(8))

    def round_trip(self, socket) -> float:
        """Seconds from a viewer's line of input to the echo of it; many if it is refused."""
        began = time.monotonic()
        socket.send(json.dumps({"type": "stdin", "task": 0, "text": f"{began}\n"}))
        while f"{began}" not in (frame := socket.recv(10)):
            if json.loads(frame)["type"] == "error":
                return 60.0
        return time.monotonic() - began


class PostgreSQLTests(OutageCase):
    """Nothing is lost, doubled or begun anew, whatever it is that does not answer."""

    def setUp(self):
        super().setUp()
        self.both = self.worker(), self.worker()

    def go_through(self, seconds: float, away, back) -> None:
        short, long = self.launch_witnesses(5), self.launch_witnesses(5)
        self.until_going(long + short)
        watchers = [Watcher(witness.id, self.web) for witness in (long[0], short[0])]
        away()
        try:
            self.let_end(short)
            time.sleep(seconds)
        finally:
            back()
        # Some ended meanwhile; the others have more to say.
        recorded = self.rows("last_seq")
        until(lambda: all(self.rows("last_seq")[one.id] > recorded[one.id] for one in long))
        self.let_end(long)
        self.until_all("succeeded")
        for witness in long + short:
            self.assert_whole(witness)
        # Nobody was taken for dead.
        self.assertEqual(set(self.rows("epoch").values()), {1})
        for watcher in watchers:
            self.assert_saw_all(watcher)
        self.assertEqual([worker.process.poll() for worker in self.both], [None, None])
        self.assert_works()

    def test_stopped_for_3_s(self):
        server = self.cluster.postgresql
        self.go_through(3, server.stop, server.start)

    def test_stopped_for_longer_than_a_lease(self):
        server = self.cluster.postgresql
        self.go_through(LEASE_SECONDS * 1.5, server.stop, server.start)

    def test_frozen_for_longer_than_a_lease(self):
        server = self.cluster.postgresql
        self.go_through(LEASE_SECONDS * 1.5, server.freeze, server.thaw)

    @pytest.mark.slow
    def test_stopped_for_a_minute(self):
        server = self.cluster.postgresql
        self.go_through(60, server.stop, server.start)


class LateTests(OutageCase):
    def test_who_is_back_a_moment_after_others_is_not_taken_for_dead(self):
        """As on a machine whose network comes back a second after that of the next."""
        lease_seconds = 6
        lease = {"STREAMSITE_LEASE_SECONDS": str(lease_seconds)}
        late, early = self.worker(**lease), self.worker(1, **lease)
        late.send(signal.SIGSTOP)  # it has no runs yet; the first is for the other
        (own,) = self.launch_witnesses(1)
        self.until_going([own])
        late.send(signal.SIGCONT)
        others = self.launch_witnesses(4)
        self.until_going(others)
        self.assertEqual(len(self.carried_by(late)), 4)
        self.cluster.postgresql.stop()
        try:
            time.sleep(lease_seconds * 1.2)
            late.send(signal.SIGSTOP)
        finally:
            self.cluster.postgresql.start()
        renewed = "SELECT lease_until > now() FROM runs_run WHERE public_id = %s"
        until(lambda: self.cluster.sql(renewed, own.id) == [(True,)])
        time.sleep(lease_seconds / 3)  # for looks at leases that are over
        late.send(signal.SIGCONT)
        self.let_end([own, *others])
        self.until_all("succeeded")
        for witness in (own, *others):
            self.assert_whole(witness)
        self.assertEqual(set(self.rows("epoch").values()), {1})
        self.assertEqual(early.process.poll(), None)


class RedisTests(OutageCase):
    def go_through(self, seconds: float) -> None:
        self.worker()
        (counter,) = self.launch_witnesses(1, pause=0.1)
        echo = self.web.launch("exec cat", stdin=True)
        self.until_going([counter])
        watcher = Watcher(counter.id, self.web)
        with self.web.socket(echo["id"]) as socket:
            self.web.until(echo["id"], lambda run: run["status"] == "running")
            until(lambda: self.is_quick(socket))
            self.cluster.redis.kill()
            killed_at, seen = time.monotonic(), len(watcher.chunks)
            doomed = self.web.launch("sleep 600")
            self.web.until(doomed["id"], lambda run: run["status"] == "running")
            self.web.request("POST", doomed["urls"]["cancel"])
            self.assertEqual(self.web.ended(doomed["id"])["status"], "cancelled")
            time.sleep(max(0, killed_at + seconds - time.monotonic()))
            until(lambda: len(watcher.chunks) > seen + 10)
            self.cluster.redis.start()
            with redis.Redis.from_url(self.cluster.redis.url) as client:
                client.flushall()
            # As fast as before, without being asked for it.
            until(lambda: self.is_quick(socket))
        counter.let_end()
        self.assert_saw_all(watcher)
        self.assertEqual(watcher.connections, 1)
        self.assert_whole(counter)

    def test_killed_for_4_s_and_empty_after(self):
        self.go_through(4)

    @pytest.mark.slow
    def test_killed_for_10_s_and_empty_after(self):
        self.go_through(10)


class WebTests(OutageCase):
    def test_viewers_of_a_web_process_that_is_killed_go_on_at_another(self):
        self.worker()
        other = self.cluster.web()
        self.addCleanup(other.kill)
        (witness,) = self.launch_witnesses(1, pause=0.1)
        self.until_going([witness])
        watchers = [Watcher(witness.id, other, self.web) for _ in range(5)]
        until(lambda: all(len(watcher.chunks) > 5 for watcher in watchers))
        other.kill()
        seen = {watcher: len(watcher.chunks) for watcher in watchers}
        until(lambda: all(len(watcher.chunks) > seen[watcher] + 5 for watcher in watchers))
        witness.let_end()
        for watcher in watchers:
            self.assert_saw_all(watcher)
            self.assertGreater(watcher.connections, 1)
        self.assert_whole(witness)
