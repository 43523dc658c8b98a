"""What one client may hold up: Daphne's connections with flow control and limits."""

import asyncio
import fcntl
import json
import logging
import socket
import struct
import termios
import time

import daphne.server  # Installs the reactor, so it comes before all of Twisted.
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.core.exceptions import RequestAborted
from twisted.internet import tcp

logger = logging.getLogger("streamsite.server")
reactor = daphne.server.reactor

UNSENT_LIMIT = 256 * 1024
# The kernel would take 4 MB more for a client that reads nothing, and a ping or a
# close frame would queue behind all of it.
KERNEL_UNSENT_BYTES = 128 * 1024
# Above the API's own limit, so that the API answers first. Twisted writes a body to
# disk while it comes in and Daphne then loads it whole before anyone looks at it.
REQUEST_BYTES = 4 * 1024**2
REQUEST_SECONDS = 120
INBOX_MESSAGES = 16
CLOSE_STALLED = 4408
CLOSE_GRACE_SECONDS = 1


class ClientGone(RequestAborted, ConnectionError):
    """Raised by an application's send() when its client has gone or was cut off.

    An OSError, as ASGI asks for; also Django's own word for it, so that Django
    closes the response as after any disconnect. An application may let it pass:
    the server takes it for a normal end.
    """


class Transport(tcp.Server):
    """One client's connection, which knows how far behind its client is."""

    sent = 0
    was_cut = False
    _drained = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            self.socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_UNSENT_BYTES
            )

    @property
    def unsent(self):
        """Bytes written but not yet with the kernel; Twisted has no public word for it."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    @property
    def taken(self):
        """Bytes that have reached the client's machine."""
        return self.sent - self.unacknowledged()

    def unacknowledged(self):
        try:
            answer = fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4)
        except (AttributeError, OSError):  # closed, or a kernel that does not tell
            return 0
        return struct.unpack("i", answer)[0]

    async def drain(self):
        """Wait until at most UNSENT_LIMIT is unsent; raise ClientGone if that cannot be."""
        while self.connected and not self.was_cut and self.unsent > UNSENT_LIMIT:
            # Not a future: one cancelled sender would cancel it for the others.
            self._drained = self._drained or asyncio.Event()
            await self._drained.wait()
        if not self.connected or self.was_cut:
            raise ClientGone("The client has gone.")

    def cut(self):
        """Drop a client that takes nothing, with all that waits for it."""
        self.was_cut = True
        self._wake()
        if isinstance(self.protocol, WebSocket) and self.protocol.can_send:
            self.protocol.sendCloseFrame(code=CLOSE_STALLED)
            reactor.callLater(CLOSE_GRACE_SECONDS, self.abortConnection)
        else:
            self.abortConnection()

    def write_now(self, data):
        """write(), but what the kernel takes is with it before this returns.

        Otherwise each piece costs a turn of the loop and two calls to watch the
        socket, which is more than all the rest of a viewer's frame.
        """
        if self.connected and not (self.dataBuffer or self._tempDataLen):
            count = self.writeSomeData(data)
            # A connection that is lost is noticed by the reactor, in its own way.
            if isinstance(count, int) and count > 0:
                data = data[count:]
        if data:
            self.write(data)

    def doWrite(self):
        result = super().doWrite()
        if self._drained is not None and self.unsent <= UNSENT_LIMIT:
            self._wake()
        return result

    def writeSomeData(self, data):
        count = super().writeSomeData(data)
        if isinstance(count, int):
            self.sent += count
        return count

    def connectionLost(self, reason):
        try:
            super().connectionLost(reason)
        finally:
            # The application may live on for a while and holds us.
            self.dataBuffer, self.offset = b"", 0
            self._tempDataBuffer, self._tempDataLen = [], 0
            self._wake()

    def _wake(self):
        if self._drained is not None:
            self._drained.set()
            self._drained = None


class StallWatch:
    """Cut every connection whose client has taken nothing of what waits for it."""

    def __init__(self, stall_seconds):
        self.stall_seconds = stall_seconds
        self.behind = {}

    def check(self):
        # Twisted's writers are just the connections with something unsent, finished
        # HTTP responses included.
        now, before, self.behind = time.monotonic(), self.behind, {}
        for transport in reactor.getWriters():
            if not isinstance(transport, Transport):
                continue
            taken = transport.taken
            last_taken, since = before.get(transport, (taken, now))
            if taken != last_taken:
                since = now
            if now - since < self.stall_seconds:
                self.behind[transport] = taken, since
            elif not transport.was_cut:
                logger.info(
                    "Closed %s: it took nothing for %.0f s.", transport.getPeer(), now - since
                )
                transport.cut()


class Inbox(asyncio.Queue):
    """An application's incoming messages; a client that is too quick is not read meanwhile."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol = protocol
        self.paused = False

    def pause_if_full(self):
        if not self.paused and self.qsize() >= INBOX_MESSAGES:
            self.paused = True
            self.protocol.transport.pauseProducing()

    async def get(self):
        message = await super().get()
        if self.empty():
            self.resume()
        return message

    def resume(self):
        if self.paused:
            self.paused = False
            self.protocol.transport.resumeProducing()


class Frames:
    """The last frame that was built: a run's viewers are sent the same text one after another."""

    content, frame = None, b""


def frame_of(content, binary):
    """`content` (str or bytes) as one unmasked WebSocket frame, RFC 6455, section 5.2.

    autobahn's own way formats a log line in colours for each frame, seen or not.
    """
    if content is Frames.content:
        return Frames.frame
    payload = content.encode() if isinstance(content, str) else content
    size = len(payload)
    code = 0x82 if binary else 0x81
    if size < 126:
        head = struct.pack("!BB", code, size)
    elif size < 65_536:
        head = struct.pack("!BBH", code, 126, size)
    else:
        head = struct.pack("!BBQ", code, 127, size)
    Frames.content, Frames.frame = content, head + payload
    return Frames.frame


class WebSocket(WebSocketProtocol):
    """Daphne's WebSocket: sends messages of any size, closes with any code, is patient."""

    application_queue = None

    @property
    def can_send(self):
        return self.state == self.STATE_OPEN

    @property
    def is_behind(self):
        return bool(self.transport.unsent or self.transport.unacknowledged())

    def onOpen(self):
        # The HTTP channel would stay alive for as long as the socket.
        self.transport.unregisterProducer()
        super().onOpen()

    def onMessage(self, payload, isBinary):
        super().onMessage(payload, isBinary)
        if not self.muted:
            self.application_queue.pause_if_full()

    def application_ended(self, application):
        """Nobody reads or writes any more; Daphne would keep the socket open for a day."""
        self.muted = True
        self.application_queue.resume()
        # After an exception Daphne's checker closes with 1011.
        if not application.cancelled() and application.exception() is None:
            self.serverClose()

    def onClose(self, wasClean, code, reason):
        # A handshake that failed was never made known to the server.
        if hasattr(self, "server"):
            super().onClose(wasClean, code, reason)

    def sendMessage(self, payload, isBinary=False, **options):
        # autobahn's own refuses to send what it would refuse to receive.
        if not self.can_send:
            raise ClientGone("The WebSocket is closed.")
        self.transport.write_now(frame_of(payload, isBinary))

    def serverSend(self, content, binary=False):
        if not self.can_send:
            raise ClientGone("The WebSocket is closed.")
        self.transport.write_now(frame_of(content, binary))

    def serverClose(self, code=None):
        # autobahn's sendClose refuses 1011 and 1012.
        if self.can_send:
            self.sendCloseFrame(code=1000 if code is None else code)

    def handle_exception(self, exception):
        # Daphne's checker dies of an exception here and with it the clean-up of all.
        if hasattr(self, "handshake_deferred") or self.can_send:
            super().handle_exception(exception)

    def onCloseHandshakeTimeout(self):
        # A slow client answers the close frame when it has read what came before it.
        if self.is_behind:
            self.closeHandshakeTimeoutCall = self.factory._batched_timer.call_later(
                self.closeHandshakeTimeout, self.onCloseHandshakeTimeout
            )
        else:
            super().onCloseHandshakeTimeout()

    def onAutoPingTimeout(self):
        # The pong of a slow client waits likewise; whether it stalls is for StallWatch.
        self.autoPingTimeoutCall = None
        if not (self.is_behind or self.application_queue.paused):
            super().onAutoPingTimeout()


class WebSockets(WebSocketFactory):
    protocol = WebSocket


class Request(WebRequest):
    """Daphne's HTTP request with a limit for its size and for how long it may take to arrive."""

    error_template = "<!doctype html><title>%(title)s</title><h1>%(title)s</h1><p>%(body)s</p>"
    was_refused = False

    def gotLength(self, length):
        super().gotLength(length)
        if length is not None and length > REQUEST_BYTES:
            self.refuse()

    def handleContentChunk(self, data):
        if self.was_refused:
            return
        if self.content.tell() + len(data) > REQUEST_BYTES:
            self.refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command, path, version):
        if not self.was_refused:
            super().requestReceived(command, path, version)

    def refuse(self):
        self.was_refused = True
        message = f"The request is larger than {REQUEST_BYTES // 1024**2} MiB. Send less."
        body = json.dumps({"error": {"code": "too_large", "message": message}}).encode()
        self.channel.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.channel.loseConnection()

    def handle_exception(self, exception):
        if not self._response_started:
            super().handle_exception(exception)
        elif not self.finished and self.transport is not None:
            # Cut, because a proper end would make half a response look whole.
            self.transport.abortConnection()

    def check_timeouts(self):
        super().check_timeouts()
        is_arriving = not hasattr(self, "request_start")
        connected = self.server.connections[self]["connected"]
        if is_arriving and time.time() - connected > REQUEST_SECONDS:
            self.transport.abortConnection()


class Requests(HTTPFactory):
    def buildProtocol(self, addr):
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = Request
        return protocol

    def log(self, request):
        pass  # no access log
