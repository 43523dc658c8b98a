"""Viewers in a process of their own: `python -m tests.benchmarks.viewers`.

The first line of its stdin is a job (see crowd.Crowd), which it answers with a line
when every viewer has joined, and with its findings at the end. Plain sockets and a
selector, and nothing is parsed before the clock has stopped: on a small machine
whatever a viewer costs would be measured as the server's.
"""

import http.client
import json
import os
import selectors
import socket
import sys
import time
from array import array
from functools import partial

RECEIVE_BYTES = 1024 * 1024
# A window this small is full at once: the rest waits in the server.
STALLED_WINDOW = 4096
HANDSHAKE_SECONDS = 60
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
PADDED = 100  # digits of a "padded" number


class Viewer:
    """One open stream. `frames` gathers (when it was read, payload)."""

    def __init__(self, port: int, path: str, token: str, kind: str, keeps: bool, stalls: bool):
        self.kind, self.keeps = kind, keeps
        self.frames: list[tuple[int, bytes]] = []
        self.joined = self.ended = False
        self.ended_at = self.last_at = self.count = 0
        self.socket = socket.socket()
        if stalls:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_WINDOW)
        self.socket.settimeout(HANDSHAKE_SECONDS)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(_request(port, path, token, kind))
        self._buffer = bytearray()
        if not stalls:
            self._read_head()

    def _read_head(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            received = self.socket.recv(RECEIVE_BYTES)
            if not received:
                raise ConnectionError("The server closed the connection.")
            self._buffer += received
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        if head.split()[1] not in (b"101", b"200"):
            raise ConnectionError(head.decode(errors="replace"))
        self._buffer = bytearray(rest)
        self.socket.setblocking(False)
        self._take(time.monotonic_ns())

    def read(self) -> None:
        """Take what is there; called when there is something."""
        try:
            received = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        now = time.monotonic_ns()
        if not received:
            self._end(now)
            return
        self.last_at = now
        self._buffer += received
        self._take(now)

    def _take(self, now: int) -> None:
        if self.kind == "ws":
            self._take_frames(now)
        elif self._buffer:
            self.joined = True
            self._buffer.clear()

    def _take_frames(self, now: int) -> None:
        buffer = self._buffer
        while len(buffer) >= 2:
            size, start = buffer[1], 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4]), 4
            elif size == 127:
                size, start = int.from_bytes(buffer[2:10]), 10
            if len(buffer) < start + size:
                return
            code, payload = buffer[0] & 15, bytes(buffer[start : start + size])
            del buffer[: start + size]
            self._obey(code, payload, now)

    def _obey(self, code: int, payload: bytes, now: int) -> None:
        if code == TEXT:
            self.joined = True
            self.count += 1
            if self.keeps:
                self.frames.append((now, payload))
            if b'"end"' in payload[:16]:
                self._end(now)
        elif code == PING:
            self.send(payload, PONG)
        elif code == CLOSE:
            self._end(now)

    def _end(self, now: int) -> None:
        if not self.ended:
            self.ended, self.ended_at = True, now

    def send(self, payload: bytes, code: int = TEXT) -> None:
        size = len(payload)
        head = bytes([0x80 | code]) + (
            bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
        )
        self.socket.send(head + b"\0\0\0\0" + payload)  # masked by zeros: unchanged


def _request(port: int, path: str, token: str, kind: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if kind == "ws":
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    return "\r\n".join([*lines, "", ""]).encode()


def launch(port: int, token: str, spec: dict) -> tuple[dict, int]:
    """Launch a run by the API; it, and when the request was begun."""
    began = time.monotonic_ns()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/api/runs", json.dumps(spec), headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 201:
        raise ConnectionError(body.decode())
    return json.loads(body), began


def watch(viewers: list[Viewer], go: list[bytes], until: float, idle_seconds: float) -> int:
    """Read until every viewer has come to its end; says when all have joined.

    Returns when it was told to go.
    """
    selector = selectors.DefaultSelector()
    for viewer in viewers:
        selector.register(viewer.socket, selectors.EVENT_READ, viewer)
    os.set_blocking(0, False)
    selector.register(0, selectors.EVENT_READ)
    told, went_at = False, 0
    left = {viewer for viewer in viewers if not viewer.ended}
    last = time.monotonic()
    while left and time.monotonic() < until:
        if not told and all(viewer.joined for viewer in viewers):
            told = True
            say({"joined": len(viewers)})
        events = selector.select(0.5)
        for key, _ in events:
            viewer = key.data
            if viewer is None:
                went_at = time.monotonic_ns()
                if not _ordered(viewers, go):
                    return went_at
                continue
            viewer.read()
            if viewer.ended:
                selector.unregister(viewer.socket)
                left.discard(viewer)
        if events:
            last = time.monotonic()
        elif idle_seconds and time.monotonic() - last > idle_seconds:
            break
    return went_at


def _ordered(viewers: list[Viewer], go: list[bytes]) -> bool:
    """Do what the parent says; False when it wants us to end."""
    order = os.read(0, 100)
    if order != b"go\n":
        return False
    for viewer, text in zip(viewers, go, strict=False):
        viewer.send(text)
    return True


def say(answer: dict) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


# --- findings, when the clock has stopped ---------------------------------------


def chunks_of(viewer: Viewer):
    for at, payload in viewer.frames:
        message = json.loads(payload)
        if message["type"] == "chunks":
            for chunk in message["chunks"]:
                yield at, chunk


def check_seqs(viewer: Viewer) -> str:
    """Every seq once and in order; what is wrong, or nothing."""
    for expected, (_, chunk) in enumerate(chunks_of(viewer), start=1):
        if chunk["seq"] != expected:
            return f"seq {chunk['seq']} came instead of {expected}"
    return ""


def find_stamps(viewers: list[Viewer], lines: int) -> dict:
    """Milliseconds from each stamp that was printed to its arrival at each viewer."""
    delays, wrong, missing = array("d"), "", 0
    for viewer in viewers:
        seen = 0
        for at, chunk in chunks_of(viewer):
            for word in chunk["text"].split():
                if word.isdigit():
                    seen += 1
                    delays.append((at - int(word)) / 1e6)
        missing += lines - seen
        wrong = wrong or check_seqs(viewer)
    return {"delays": delays.tolist(), "missing": missing, "wrong": wrong}


def find_count(viewers: list[Viewer], lines: int, width: int = 0) -> dict:
    """Whether each viewer has the numbers 1 to `lines`, each on its own line, and nothing else.

    They have zeros before them up to `width`.
    """
    expected = "".join(f"{n:0{width}d}\n" for n in range(1, lines + 1))
    wrong, missing, times, chunks = "", 0, [], 0
    for viewer in viewers:
        found = list(chunks_of(viewer))
        text = "".join(chunk["text"] for _, chunk in found)
        wrong = wrong or check_seqs(viewer)
        if text != expected:
            missing += max(1, lines - text.count("\n"))
        times += [at for at, _ in (found[:1] + found[-1:])]
        chunks += len(found)
    ends = {"first_chunk_at": min(times, default=0), "last_chunk_at": max(times, default=0)}
    return {"missing": missing, "wrong": wrong, "chunks": chunks} | ends


FINDINGS = {
    "stamps": find_stamps,
    "count": find_count,
    "padded": partial(find_count, width=PADDED),
}


def main() -> None:
    job = json.loads(sys.stdin.buffer.raw.readline())
    port, token, finding = job["port"], job["token"], job["finding"]
    paths, launched_at = job["paths"], 0
    if job["launch"]:
        run, launched_at = launch(port, token, job["launch"])
        paths = [run["urls"]["websocket"]]
    options = {"kind": job["kind"], "keeps": finding is not None, "stalls": job["stalls"]}
    viewers = [Viewer(port, path, token, **options) for path in paths]
    until = time.monotonic() + job["seconds"]
    if job["stalls"]:
        say({"joined": len(viewers)})
        os.read(0, 1)
        return
    cpu = time.process_time()
    went_at = watch(viewers, [text.encode() for text in job["go"]], until, job["idle_seconds"])
    findings = {
        "launched_at": launched_at,
        "ended": sum(viewer.ended for viewer in viewers),
        "went_at": went_at,
        "last_at": max(viewer.last_at for viewer in viewers),
        "ended_at": max(viewer.ended_at or viewer.last_at for viewer in viewers),
        "frames": sum(viewer.count for viewer in viewers),
        "cpu_seconds": time.process_time() - cpu,
    }
    if finding:
        findings |= FINDINGS[finding](viewers, job["lines"])
    say(findings)


if __name__ == "__main__":
    main()
