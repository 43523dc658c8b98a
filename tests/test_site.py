"""The whole system from end to end: a real server, real programs, real viewers."""

import json
import os
import socket
import sqlite3
import threading
import time
from contextlib import ExitStack, suppress

from django.test import SimpleTestCase
from websockets.exceptions import ConnectionClosed

from .site import Site

PRINTER = "import itertools\nfor n in itertools.count(): print('line', n)"


class Viewer(threading.Thread):
    """Watches a run in a thread until the connection ends."""

    def __init__(self, site: Site, run_id: str, after: int = 0):
        super().__init__(daemon=True)
        self._open = ExitStack()
        self.socket = self._open.enter_context(site.socket(run_id, after))
        self.chunks: list[dict] = []
        self.end: dict | None = None
        self.code: int | None = None
        self.start()

    def run(self) -> None:
        with self._open, suppress(ConnectionClosed):
            for frame in self.socket:
                message = json.loads(frame)
                if message["type"] == "chunks":
                    self.chunks += message["chunks"]
                elif message["type"] == "end":
                    self.end = message
        self.code = self.socket.close_code

    def wait_for(self, count: int, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while len(self.chunks) < count:
            assert self.is_alive(), f"{len(self.chunks)} chunks, then {self.code}"
            assert time.monotonic() < deadline, len(self.chunks)
            time.sleep(0.01)


class MainJobTests(SimpleTestCase):
    """Launch, watch, reload, join late, come back, export."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)
        cls.site.start()

    def test_a_run_is_watched_live_joined_late_and_read_again(self):
        site = self.site
        program = "import time\nfor n in range(30):\n    print('line', n)\n    time.sleep(0.02)"
        run = site.launch(program, kind="python")
        early = Viewer(site, run["id"])
        early.wait_for(10)
        late = Viewer(site, run["id"])
        resumed = Viewer(site, run["id"], after=early.chunks[4]["seq"])
        for viewer in (early, late, resumed):
            viewer.join(20)
            self.assertEqual((viewer.code, viewer.end["status"]), (1000, "succeeded"))
        expected = "".join(f"line {n}\n" for n in range(30))
        self.assertEqual("".join(chunk["text"] for chunk in early.chunks), expected)
        self.assertEqual(late.chunks, early.chunks)
        self.assertEqual(resumed.chunks, early.chunks[5:])
        self.assertEqual(site.chunks(run["id"]), early.chunks)
        status, text = site.request("GET", f"/api/runs/{run['id']}/export.txt")
        self.assertEqual((status, text), (200, expected))

    def test_output_is_shown_as_it_is_printed(self):
        run = self.site.launch("echo first; read x; echo second", stdin=True)
        viewer = Viewer(self.site, run["id"])
        viewer.wait_for(1)
        self.assertEqual(viewer.chunks[0]["text"], "first\n")
        viewer.socket.send(json.dumps({"type": "stdin", "task": 0, "text": "go\n"}))
        viewer.join(10)
        self.assertEqual([chunk["text"] for chunk in viewer.chunks], ["first\n", "second\n"])

    def test_a_viewer_that_reconnects_all_the_time_misses_nothing(self):
        run = self.site.launch("for n in $(seq 1 200); do echo $n; sleep 0.005; done")
        found: list[dict] = []
        while True:
            with self.site.socket(run["id"], found[-1]["seq"] if found else 0) as socket:
                messages = [json.loads(socket.recv(5)) for _ in range(2)]
                for message in messages:
                    found += message.get("chunks", [])
                if any(message["type"] == "end" for message in messages):
                    break
                if self.site.run(run["id"])["finished_at"] and messages[-1]["type"] == "status":
                    break
        self.assertEqual([chunk["seq"] for chunk in found], list(range(1, len(found) + 1)))
        self.assertEqual(
            "".join(chunk["text"] for chunk in found), "".join(f"{n}\n" for n in range(1, 201))
        )

    def test_a_200_mb_line_is_recorded_up_to_the_cap(self):
        run = self.site.launch("head -c 200000000 /dev/zero | tr '\\0' x; echo; echo end")
        run = self.site.ended(run["id"], seconds=60)
        self.assertEqual(run["status"], "succeeded")
        self.assertGreater(run["dropped"]["bytes"], 100_000_000)
        self.assertEqual(self.site.request("GET", f"{run['urls']['chunks']}?before=9999999&limit=2")
                         [1]["items"][0]["text"][-5:], "\nend\n")  # fmt: skip

    def test_commands_work_beside_the_server(self):
        done = self.site.run_command("launch", "command", "echo hello; exit 5")
        self.assertEqual((done.stdout, done.returncode), ("hello\n", 5))


class StalledViewerTests(SimpleTestCase):
    """A client that never reads costs little, however it watches."""

    def setUp(self):
        self.site = Site(STREAMSITE_OUTPUT_CAP_BYTES=str(1024**3))
        self.addCleanup(self.site.close)
        self.site.start()

    def request_and_never_read(self, path: str, *headers: str) -> socket.socket:
        client = socket.socket()
        self.addCleanup(client.close)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.site.port))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.site.port}",
            f"Authorization: Bearer {self.site.token}",
            *headers,
        ]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        client.recv(16)
        return client

    def memory(self) -> int:
        with open(f"/proc/{self.site.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def flood(self) -> str:
        run = self.site.launch("head -c 30000000 /dev/zero | tr '\\0' x | fold -w 100")
        return self.site.ended(run["id"], 60)["id"]

    def test_by_websocket_sse_and_export(self):
        finished = self.flood()
        before = self.memory()
        upgrade = (
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        )  # fmt: skip
        for _ in range(3):
            self.request_and_never_read(f"/ws/runs/{finished}/", *upgrade)
            self.request_and_never_read(f"/api/runs/{finished}/events")
            self.request_and_never_read(f"/api/runs/{finished}/export.ndjson")
        self.flood()
        self.assertLess((self.memory() - before) / 9, 8 * 1024**2)


class FaultTests(SimpleTestCase):
    def setUp(self):
        self.site = Site()
        self.addCleanup(self.site.close)
        self.site.start()

    def stored(self) -> dict[str, list[tuple]]:
        database = sqlite3.connect(self.site.data_dir / "db.sqlite3")
        rows = database.execute(
            "SELECT public_id, seq, text FROM runs_chunk JOIN runs_run ON run_id = runs_run.id "
            "ORDER BY run_id, seq"
        ).fetchall()
        database.close()
        found: dict[str, list[tuple]] = {}
        for run_id, seq, text in rows:
            found.setdefault(run_id, []).append((seq, text))
        return found

    def test_kill_9_loses_nothing_that_a_viewer_saw(self):
        site = self.site
        runs = [site.launch(PRINTER, kind="python", timeout=0) for _ in range(4)]
        viewers = [Viewer(site, run["id"]) for run in runs]
        for viewer in viewers:
            viewer.wait_for(50)
        site.kill()
        for viewer in viewers:
            viewer.join(10)
        stored = self.stored()
        for run, viewer in zip(runs, viewers, strict=True):
            rows = stored[run["id"]]
            # No hole and no duplicate in what is stored ...
            self.assertEqual([seq for seq, _ in rows], list(range(1, len(rows) + 1)))
            # ... in which every chunk that was seen stands as it was seen ...
            seen = [(chunk["seq"], chunk["text"]) for chunk in viewer.chunks]
            self.assertEqual(seen, rows[: len(seen)])
            # ... and which is what the program printed.
            lines = "".join(text for _, text in rows).split("\n")
            self.assertEqual(lines[:-1], [f"line {n}" for n in range(len(lines) - 1)])

        site.start()
        for run, viewer in zip(runs, viewers, strict=True):
            again = site.ended(run["id"])
            self.assertEqual(again["status"], "lost")
            resumed = Viewer(site, run["id"], after=viewer.chunks[-1]["seq"])
            resumed.join(10)
            whole = viewer.chunks + resumed.chunks
            self.assertEqual([c["seq"] for c in whole], list(range(1, again["last_seq"] + 1)))
            self.assertEqual(whole[-1]["stream"], "system")

    def test_after_kill_9_no_program_lives_on(self):
        run = self.site.launch("sleep 0.1; echo $$; (setsid sleep 4321 &); sleep 4321")
        self.site.until(run["id"], lambda run: run["last_seq"])
        self.site.kill()
        self.site.start()
        self.assertEqual(self.site.ended(run["id"])["status"], "lost")
        deadline = time.monotonic() + 5
        while self.sleepers():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def sleepers(self) -> list[int]:
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if file.read().split(b"\0")[:2] == [b"sleep", b"4321"]:
                        found.append(int(name))
            except OSError:
                continue
        return found

    def test_sigterm_ends_runs_as_cancelled_and_tells_viewers(self):
        run = self.site.launch("echo on; sleep 60")
        viewer = Viewer(self.site, run["id"])
        viewer.wait_for(1)
        self.assertEqual(self.site.stop(), 0)
        viewer.join(5)
        self.assertEqual((viewer.end or {}).get("status"), "cancelled")
        self.site.start()
        run = self.site.run(run["id"])
        self.assertEqual((run["status"], run["error"]), ("cancelled", "The server was stopped."))

    def test_quickstart_again_on_the_same_data_loses_and_repeats_nothing(self):
        self.site.close()
        self.site = self.enterContext(Site(fresh=True))
        run = self.site.launch("echo kept")
        self.site.ended(run["id"])
        self.assertIn("Log in as admin", "".join(self.site.printed))
        self.site.stop()
        self.site.start()
        self.assertNotIn("Log in as admin", "".join(self.site.printed))
        self.assertEqual(self.site.chunks(run["id"])[0]["text"], "kept\n")

    def test_a_second_server_on_the_same_data_refuses_with_a_sentence(self):
        done = self.site.run_command("quickstart", "--port", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Stop it first, or use another --data-dir.", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
