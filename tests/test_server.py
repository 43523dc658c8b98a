import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

from django.test import SimpleTestCase
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.server_app import FAREWELL, MESSAGE, MESSAGES

EVERYTHING = len(MESSAGE) * MESSAGES
MIB = 1024**2
DEADLINE_SECONDS = 20


class RunningServer:
    def __init__(self, process, port):
        self.process = process
        self.port = port

    def report(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/state", timeout=10) as answer:
            return json.load(answer)

    def report_when(self, condition):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition(report := self.report()):
            if time.monotonic() > deadline:
                raise AssertionError(f"It never came to that: {report}")
            time.sleep(0.05)
        return report

    def websocket(self, path, **options):
        return connect(f"ws://127.0.0.1:{self.port}{path}", max_size=None, **options)

    def stop(self):
        """End the server as a supervisor does; its exit code and the rest it printed."""
        self.process.send_signal(signal.SIGTERM)
        output, errors = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, output, errors


def start_process(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.server_app", *arguments],
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "streamsite.settings", "STREAMSITE_VIEWER_STALL_SECONDS": "60"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running_server(**environment):
    with start_process(**environment) as process:
        try:
            if not select.select([process.stdout], [], [], DEADLINE_SECONDS)[0]:
                raise AssertionError("The server did not start.")
            port = int(process.stdout.readline().split()[2])
            yield RunningServer(process, port)
        finally:
            process.kill()


def open_unread(server, path, *headers):
    """A connection with a small window, on which the test reads what it wants."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(DEADLINE_SECONDS)
    client.connect(("127.0.0.1", server.port))
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    client.sendall("\r\n".join(lines).encode())
    return client


def open_unread_websocket(server, path):
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    version = "Sec-WebSocket-Version: 13"
    return open_unread(server, path, "Connection: Upgrade", "Upgrade: websocket", key, version)


def read_to_end(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
    count = 0
    while data := client.recv(MIB):
        count += len(data)
    return count


def read_until(client, word):
    received = b""
    while word not in received and (data := client.recv(4096)):
        received += data
    return received


def is_waiting(report):
    return report["send_waited"] > 0.3


class FlowControlTests(SimpleTestCase):
    def check_send_waits(self, open_client):
        with running_server() as server:
            before = server.report()["resident"]
            with open_client(server, "/flood") as client:
                report = server.report_when(is_waiting)
                self.assertLess(report["resident"] - before, 8 * MIB)
                self.assertLess(report["sent"], 8 * MIB)
                self.assertGreater(report["sent"], 0)
                client.shutdown(socket.SHUT_WR)
                client.close()
            # It waited for a client that is no more.
            report = server.report_when(lambda report: "/flood" in report["ended"])
            self.assertEqual(report["ended"]["/flood"], "ClientGone")
            # That is no error; the checker has passed it once it closes this one.
            with server.websocket("/raise") as client, self.assertRaises(ConnectionClosed):
                client.recv(timeout=DEADLINE_SECONDS)
            self.assertNotIn("ClientGone", server.stop()[2])

    def test_send_waits_for_a_websocket_client_until_it_leaves(self):
        self.check_send_waits(open_unread_websocket)

    def test_send_waits_for_an_http_client_until_it_leaves(self):
        self.check_send_waits(open_unread)

    def test_every_byte_arrives_over_a_websocket_that_paused(self):
        with running_server() as server, server.websocket("/flood", max_queue=1) as client:
            server.report_when(is_waiting)
            for _ in range(MESSAGES):
                self.assertEqual(client.recv(timeout=DEADLINE_SECONDS), MESSAGE)

    def test_every_byte_arrives_over_http_that_paused(self):
        with running_server() as server:
            with open_unread(server, "/flood", "Connection: close") as client:
                server.report_when(is_waiting)
                self.assertGreater(read_to_end(client), EVERYTHING)
            self.assertEqual(server.report()["ended"]["/flood"], "returned")

    def test_a_client_that_sends_too_quickly_is_not_read(self):
        server = self.enterContext(running_server())
        client = self.enterContext(open_unread_websocket(server, "/deaf"))
        self.assertIn(b"101 Switching", client.recv(4096))
        # Masked with zeros: the payload goes as it is.
        frame = b"\x82\xff" + (MIB // 2).to_bytes(8, "big") + bytes(4 + MIB // 2)
        before = server.report()["resident"]
        client.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            for _ in range(200):
                client.sendall(frame)
        self.assertLess(server.report()["resident"] - before, 24 * MIB)


class StallTests(SimpleTestCase):
    def check_stalled_client_is_cut(self, open_client):
        server = self.enterContext(running_server(STREAMSITE_VIEWER_STALL_SECONDS="1"))
        client = self.enterContext(open_client(server, "/flood"))
        report = server.report_when(lambda report: "/flood" in report["ended"])
        self.assertEqual(report["ended"]["/flood"], "ClientGone")
        server.report_when(lambda _: has_hung_up(client))

    def test_a_websocket_client_that_takes_nothing_is_cut(self):
        self.check_stalled_client_is_cut(open_unread_websocket)

    def test_an_http_client_that_takes_nothing_is_cut(self):
        self.check_stalled_client_is_cut(open_unread)

    def test_a_slow_client_is_cut_neither_for_stalling_nor_for_a_late_pong(self):
        options = {"stall_seconds": 1, "ping_interval": 1, "ping_timeout": 1}
        server = self.enterContext(running_server(TEST_OPTIONS=json.dumps(options)))
        client = self.enterContext(open_unread_websocket(server, "/flood"))
        server.report_when(is_waiting)
        read_slowly(client, seconds=5)
        self.assertNotIn("/flood", server.report()["ended"])

    def test_a_slow_client_gets_all_before_the_close(self):
        options = {"stall_seconds": 1, "close_seconds": 0.2}
        server = self.enterContext(running_server(TEST_OPTIONS=json.dumps(options)))
        client = self.enterContext(open_unread_websocket(server, "/farewell"))
        count = read_slowly(client, seconds=2)
        # Unread until here, unanswered from here on: the server drops it in the end.
        with self.assertRaises(ConnectionResetError):
            while data := client.recv(MIB):
                count += len(data)
        self.assertGreater(count, len(FAREWELL))


def read_slowly(client, seconds):
    """So slowly that the kernel takes nothing from the server for longer than a second."""
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        count += len(client.recv(512))
        time.sleep(0.02)
    return count


def has_hung_up(client):
    poll = select.poll()
    poll.register(client, select.POLLIN | select.POLLHUP | select.POLLERR)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


class ConnectionTests(SimpleTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(running_server())

    def close_code(self, path, message=""):
        with self.server.websocket(path) as client:
            with self.assertRaises(ConnectionClosed) as caught:
                client.send(message)
                client.recv(timeout=DEADLINE_SECONDS)
            return caught.exception.rcvd.code

    def test_a_message_larger_than_a_client_may_send_arrives_whole(self):
        with self.server.websocket("/big") as client:
            message = client.recv(timeout=DEADLINE_SECONDS)
        self.assertEqual(message, "é" * (3 * 512 * 1024))

    def test_a_message_over_1_mib_is_not_taken_from_a_client(self):
        self.assertEqual(self.close_code("/size", "x" * (2 * MIB)), 1009)

    def test_an_application_may_close_with_1011(self):
        self.assertEqual(self.close_code("/close"), 1011)

    def test_an_application_that_fails_closes_with_1011(self):
        self.assertEqual(self.close_code("/raise"), 1011)

    def test_an_application_that_returns_closes_the_socket(self):
        self.assertEqual(self.close_code("/return"), 1000)

    def test_half_a_response_does_not_look_whole_and_the_server_goes_on(self):
        with open_unread(self.server, "/raise", "Connection: close") as client:
            received = b""
            with self.assertRaises(ConnectionResetError):
                while data := client.recv(4096):
                    received += data
        self.assertIn(b"half", received)
        self.assertNotIn(b"\r\n0\r\n", received)
        # The checker that met the exception cleans up after later ones too.
        self.assertEqual(self.close_code("/raise"), 1011)

    def test_a_request_too_large_is_refused_with_a_sentence(self):
        with open_unread(self.server, "/state", f"Content-Length: {5 * MIB}") as client:
            answer = read_until(client, b"}}")
        self.assertIn(b"413 Content Too Large", answer)
        self.assertIn(b"larger than 4 MiB", answer)

    def test_a_chunked_request_too_large_is_refused_too(self):
        with open_unread(self.server, "/state", "Transfer-Encoding: chunked") as client:
            client.sendall(b"500000\r\n" + bytes(4 * MIB + 1))
            self.assertIn(b"413 Content Too Large", read_until(client, b"}}"))

    def test_the_answer_names_no_versions(self):
        url = f"http://127.0.0.1:{self.server.port}/state"
        with urllib.request.urlopen(url, timeout=10) as answer:
            self.assertEqual(answer.headers["Server"], "streamsite")


class StartAndStopTests(SimpleTestCase):
    def test_sigterm_runs_on_stop_closes_sockets_and_exits_with_0(self):
        with running_server() as server, server.websocket("/idle") as client:
            with open_unread(server, "/forever") as stream:
                self.assertIn(b"first", read_until(stream, b"first"))
                self.assertTrue(server.report()["started"])
                exit_code, output, errors = server.stop()
            self.assertEqual((exit_code, errors), (0, ""))
            self.assertEqual(output, "on_stop ran\non_stop ended\nserved\n")
            with self.assertRaises(ConnectionClosed) as caught:
                client.recv(timeout=DEADLINE_SECONDS)
            self.assertEqual(caught.exception.rcvd.code, 1012)

    def test_a_second_ctrl_c_ends_at_once(self):
        with running_server(TEST_STOP_SECONDS="60") as server:
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.process.stdout.readline(), "on_stop ran\n")
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.process.wait(DEADLINE_SECONDS), 130)

    def test_a_port_in_use_is_said_in_a_sentence(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with start_process(str(port)) as process:
                output, errors = process.communicate(timeout=DEADLINE_SECONDS)
        self.assertEqual((process.returncode, output), (1, ""))
        self.assertEqual(
            errors,
            f"Port {port} on 127.0.0.1 is in use. Stop the program that uses it, "
            "or choose another port with --port.\n",
        )

    def test_a_start_that_fails_ends_the_server_with_its_sentence(self):
        with start_process(TEST_START_FAILS="1") as process:
            output, errors = process.communicate(timeout=DEADLINE_SECONDS)
        self.assertEqual((process.returncode, output), (1, ""))
        self.assertEqual(errors, "There is no sandbox; install one.\n")
