"""Web processes under uvicorn instead of our own server."""

import threading

import redis

from tests.cluster import until
from tests.uvicorn_site import uvicorn

from .case import ClusterCase
from .test_outages import Watcher


class Eavesdropper(threading.Thread):
    """Which groups are told something over Redis."""

    def __init__(self, url: str):
        super().__init__(daemon=True)
        self.groups: list[str] = []
        self._client = redis.Redis.from_url(url)
        self._ear = self._client.pubsub(ignore_subscribe_messages=True)
        self._ear.psubscribe("*")
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopped.is_set():
            if message := self._ear.get_message(timeout=0.2):
                self.groups.append(message["channel"].decode().rpartition("__")[2])

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        self._ear.close()
        self._client.close()


class UvicornTests(ClusterCase):
    def setUp(self):
        super().setUp()
        self.other = uvicorn(self.cluster)
        self.addCleanup(self.other.kill)

    def test_viewers_input_and_cancels_are_served_as_by_our_own(self):
        self.worker()
        witness = self.launch_witnesses(1, lines=30, pause=0.05)[0]
        watchers = [Watcher(witness.id, web) for web in (self.web, self.other)]
        for watcher in watchers:
            watcher.join(30)
            self.assertEqual(watcher.chunks, self.web.chunks(witness.id))
        self.assert_whole(witness)
        run = self.other.launch("cat", stdin=True)
        with self.other.socket(run["id"]) as socket:
            until(lambda: self.other.run(run["id"])["status"] == "running")
            socket.send('{"type":"stdin","text":"typed\\n"}')
            while "typed" not in (frame := socket.recv(10)):
                self.assertNotIn('"type":"error"', frame)
            socket.send('{"type":"cancel"}')
            while '"type":"end"' not in (frame := socket.recv(10)):
                pass
        self.assertIn("cancelled", frame)

    def test_workers_are_told_of_a_cancel_though_nobody_has_watched(self):
        self.worker()
        run = self.other.launch("sleep 600")
        until(lambda: self.other.run(run["id"])["status"] == "running")
        ear = Eavesdropper(self.cluster.redis.url)
        try:
            self.assertEqual(self.other.request("POST", run["urls"]["cancel"])[0], 202)
            until(lambda: "executors" in ear.groups)
        finally:
            ear.stop()
        self.other.ended(run["id"])

    def test_it_ends_soon_though_somebody_watches(self):
        self.worker()
        run = self.other.launch("sleep 600")
        with self.other.socket(run["id"]) as socket:
            socket.recv(10)
            self.other.process.terminate()
            self.other.process.wait(10)
        self.assertNotIn("Traceback", "".join(self.other.printed))
