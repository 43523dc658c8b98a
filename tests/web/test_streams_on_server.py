"""Streams over real connections: what the in-process client cannot show."""

import json
import os
import socket
from contextlib import ExitStack
from unittest import TestCase

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.site import Site
from tests.sse_parser import SseParser


class Stream:
    """A GET over a bare socket; reads only when it is told to."""

    def __init__(self, site: Site, path: str, headers: dict | None = None):
        self.socket = socket.socket()
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", site.port))
        headers = {"Authorization": f"Bearer {site.token}"} | (headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        # HTTP/1.0: the body is what comes until the end, without chunks to undo.
        request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{site.port}\r\n{lines}\r\n"
        self.socket.sendall(request.encode())
        self.parser, self.found, self.received = SseParser(), [], b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def head(self) -> bytes:
        while b"\r\n\r\n" not in self.received:
            self.received += self.read()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        self.found += self.parser.feed(self.received)
        return head

    def read(self) -> bytes:
        return self.socket.recv(1 << 20)

    def until(self, type: str) -> list:
        """All events up to the first of this type."""
        while type not in (types := [event.type for event in self.found]):
            received = self.read()
            assert received, f"the stream ended: {types[-5:]}"
            self.found += self.parser.feed(received)
        at = types.index(type) + 1
        events, self.found = self.found[:at], self.found[at:]
        return events


class StreamTests(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = cls.enterClassContext(Site())

    def proc(self, name: str) -> str:
        return f"/proc/{self.site.process.pid}/{name}"

    def resident(self) -> int:
        with open(self.proc("statm")) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return len(os.listdir(self.proc("task")))

    def connections(self) -> int:
        open_files = self.proc("fd")
        names = [os.readlink(f"{open_files}/{fd}") for fd in os.listdir(open_files)]
        return sum(name.endswith("db.sqlite3") for name in names)

    def test_a_live_run_by_server_sent_events(self):
        run = self.site.launch("read line; echo got $line", stdin=True)
        with Stream(self.site, run["urls"]["events"]) as stream:
            head = stream.head()
            self.assertIn(b"200 OK", head)
            self.assertIn(b"X-Accel-Buffering: no", head)
            stream.until("status")
            with self.site.socket(run["id"]) as viewer:
                viewer.send(json.dumps({"type": "stdin", "text": "hello\n"}))
                viewer.send(json.dumps({"type": "stdin", "eof": True}))
                *_, end = stream.until("end")
        self.assertEqual(json.loads(end.data)["status"], "succeeded")
        (chunk,) = self.site.chunks(run["id"])
        self.assertEqual(chunk["text"], "got hello\n")

    def test_a_stream_that_launches_is_resumed_where_it_broke(self):
        path = "/api/stream/command?command=for+i+in+1+2+3%3B+do+echo+$i%3B+sleep+0.1%3B+done"
        with Stream(self.site, path) as stream:
            stream.head()
            begun = stream.until("stdout")
        run_id = json.loads(begun[0].data)["id"]
        with Stream(self.site, path, {"Last-Event-ID": begun[-1].last_event_id}) as stream:
            stream.head()
            rest = stream.until("complete")
        text = "".join(event.data for event in begun + rest if event.type == "stdout")
        self.assertEqual(text, "1\n2\n3\n")
        self.assertEqual(json.loads(rest[-1].data)["run"], run_id)
        with Stream(self.site, path, {"Last-Event-ID": f"{run_id}:end"}) as stream:
            self.assertIn(b"204", stream.head())

    def test_close_codes_reach_the_client(self):
        run = self.site.launch("sleep 5")
        ours = f"ws{self.site.url[4:]}"
        login = {"Authorization": f"Bearer {self.site.token}"}
        for path, headers, code in (
            (f"/ws/runs/{run['id']}/", {}, 4401),
            (f"/ws/runs/{run['id']}/?after=x", login, 4400),
            ("/ws/runs/unknown/", login, 4404),
            ("/ws/nothing", login, 4404),
        ):
            with self.subTest(path), connect(ours + path, additional_headers=headers) as viewer:
                with self.assertRaises(ConnectionClosed):
                    viewer.recv()
                self.assertEqual(viewer.close_code, code)
        self.site.request("POST", run["urls"]["cancel"])

    def test_head_and_errors_have_their_headers(self):
        run = self.site.launch("true")
        self.site.ended(run["id"])
        status, body = self.site.request("HEAD", run["urls"]["export"])
        self.assertEqual((status, body), (200, ""))
        status, body = self.site.request("GET", run["urls"]["export"] + "x")
        self.assertEqual((status, body["error"]["code"]), (404, "not_found"))

    def test_two_hundred_viewers_cost_no_thread_and_no_connection(self):
        run = self.site.launch("read x; echo to all", stdin=True)
        self.site.until(run["id"], lambda run: run["status"] == "running")
        with ExitStack() as stack:
            streams = []
            for number in range(220):
                stream = stack.enter_context(Stream(self.site, run["urls"]["events"]))
                stream.head()
                stream.until("status")
                streams.append(stream)
                if number == 19:
                    before = self.threads(), self.connections(), self.resident()
            after = self.threads(), self.connections(), self.resident()
            self.assertLessEqual(after[0], before[0] + 1)
            self.assertLessEqual(after[1], before[1] + 1)
            self.assertLess(after[2] - before[2], 200 * 64 * 1024)
            with self.site.socket(run["id"]) as viewer:
                viewer.send(json.dumps({"type": "stdin", "text": "x\n"}))
                for stream in streams:
                    stream.until("end")
