"""Daphne as we need it: it waits for its clients, starts and stops with hooks, tells errors."""

import asyncio
import errno
import logging
import os
import signal
from contextlib import contextmanager, suppress
from functools import partial

import daphne.server
from daphne.endpoints import build_endpoint_description_strings
from django.conf import settings
from django.utils.module_loading import import_string
from twisted.internet import defer, endpoints
from twisted.internet.error import CannotListenError
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    STDLibLogObserver,
    globalLogBeginner,
)

from streamsite.connections import (
    UNSENT_LIMIT,
    ClientGone,
    Inbox,
    Requests,
    StallWatch,
    Transport,
    WebSocket,
    WebSockets,
)
from streamsite.process import prepare_process

logger = logging.getLogger("streamsite.server")
reactor = daphne.server.reactor

STOP_SECONDS = 10
CLOSE_SECONDS = 1
CLOSE_SERVER_STOPS = 1012


class CannotListen(Exception):
    """The address cannot be listened on; the message says why and what to do."""


class Server(daphne.server.Server):
    """Daphne with flow control, a limit for stalled clients, and hooks. TCP endpoints only.

    An application's send() waits while its client has more than 256 KiB unsent. It
    raises ClientGone (an OSError) once the client has gone or was cut off because it
    took nothing for stall_seconds; an application may let that pass.

    on_start is awaited before the first connection is accepted, then ready(host, port)
    is called. If on_start raises, run() raises the same and on_stop is not called.
    On SIGTERM, Ctrl-C or stop(), on_stop is awaited for at most stop_seconds while
    clients are still connected; then WebSockets are closed with 1012, what is left is
    cancelled, and run() returns. A second Ctrl-C ends the process at once.
    run() raises CannotListen if the address cannot be had.

    There is no limit for how long a response takes, since streams have none; a
    connection without a request is closed after a minute, a request that has not
    arrived after two.
    """

    def __init__(
        self,
        application,
        endpoints,
        *,
        on_start=None,
        on_stop=None,
        ready=None,
        stall_seconds=30,
        stop_seconds=STOP_SECONDS,
        close_seconds=5,
        **options,
    ):
        options = {
            "server_name": "streamsite",
            # Longer than the timeout: Daphne forgets a ping when it sends the next.
            "ping_interval": 30,
            "ping_timeout": 25,
            # Many viewers come back at once after a restart.
            "websocket_handshake_timeout": 20,
        } | options
        super().__init__(_ending_quietly(application), endpoints, **options)
        self.on_start = on_start
        self.on_stop = on_stop
        self.ready = ready
        self.stop_seconds = stop_seconds
        self.close_seconds = close_seconds
        self.stall_watch = StallWatch(stall_seconds)
        self.connections = {}
        self.ports = []
        self.starting = None
        self.stopping = False
        self.signalled = False
        self.failure = None

    def run(self):
        self.http_factory = Requests(self)
        self.ws_factory = self._make_websockets()
        errors_only = LogLevelFilterPredicate(LogLevel.error)
        globalLogBeginner.beginLoggingTo(
            [FilteringLogObserver(STDLibLogObserver("streamsite.server"), [errors_only])],
            redirectStandardIO=False,
            discardBuffer=True,
        )
        for endpoint in self.endpoints:
            self._listen(endpoint)
        asyncio.set_event_loop(reactor._asyncioEventloop)
        reactor.callWhenRunning(self._started)
        reactor.addSystemEventTrigger("before", "shutdown", self._stopped)
        with self._signals():
            reactor.run(installSignalHandlers=False)
        if self.failure is not None:
            raise self.failure

    def stop(self):
        if not self.stopping:
            self.stopping = True
            reactor.stop()

    # --- starting

    def _make_websockets(self):
        factory = WebSockets(self, server=self.server_name)
        factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            closeHandshakeTimeout=self.close_seconds,
            failByDrop=False,  # so that a client learns why
            # Incoming only, see WebSocket.sendMessage.
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
        )
        return factory

    def _listen(self, endpoint):
        errors = []
        listening = endpoints.serverFromString(reactor, endpoint).listen(self.http_factory)
        listening.addCallbacks(self.ports.append, errors.append)
        if errors:
            raise CannotListen(_why_not(endpoint, errors[0].value)) from errors[0].value
        port = self.ports[-1]
        port.transport = Transport
        port.stopReading()  # until on_start is done, clients wait in the backlog

    def _started(self):
        self.starting = asyncio.ensure_future(self._start_up())
        self.application_checker()
        self.timeout_checker()
        self._check_stalls()

    async def _start_up(self):
        try:
            if self.on_start is not None:
                await self.on_start()
        except Exception as error:
            self.failure = error
            self.stop()
            return
        for port in self.ports:
            port.startReading()
            address = port.getHost()
            self.listening_addresses.append((address.host, address.port))
            if self.ready is not None:
                self.ready(address.host, address.port)

    @contextmanager
    def _signals(self):
        numbers = (signal.SIGINT, signal.SIGTERM) if self.signal_handlers else ()
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if self.signalled and number == signal.SIGINT:
            os._exit(128 + number)
        self.signalled = True
        reactor.callFromThread(self.stop)

    # --- stopping

    def _stopped(self):
        # Twisted goes on to drop all connections when this has come to its end.
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._shut_down()))

    async def _shut_down(self):
        for port in self.ports:
            port.stopListening()
        await self._run_on_stop()
        await self._close_websockets()
        await _cancel(self._running_applications())

    async def _run_on_stop(self):
        if self.starting is None or not self.starting.done():
            await _cancel([self.starting] if self.starting else [])
            return
        if self.on_stop is None or self.failure is not None:
            return
        stopping = asyncio.ensure_future(self.on_stop())
        # Not wait_for: that one waits on for a task that does not heed its cancellation.
        done, _ = await asyncio.wait({stopping}, timeout=self.stop_seconds)
        if not done:
            logger.error("Stopping took over %s s and was broken off.", self.stop_seconds)
            await _cancel([stopping])
        elif not stopping.cancelled() and stopping.exception():
            logger.error("Stopping failed.", exc_info=stopping.exception())

    async def _close_websockets(self):
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocket):
                protocol.serverClose(CLOSE_SERVER_STOPS)
        # Each ends when its client has answered the close frame.
        if running := self._running_applications():
            await asyncio.wait(running, timeout=CLOSE_SECONDS)

    def _running_applications(self):
        # Daphne's kill_all_applications fails on connections whose application is done.
        found = (details.get("application_instance") for details in self.connections.values())
        return [application for application in found if application and not application.done()]

    # --- connections

    def create_application(self, protocol, scope):
        inbox = Inbox(protocol)
        scope.setdefault("asgi", {"version": "3.0"})
        application = asyncio.ensure_future(
            self.application(scope, inbox.get, partial(self.handle_reply, protocol))
        )
        self.connections[protocol]["application_instance"] = application
        if isinstance(protocol, WebSocket):
            application.add_done_callback(protocol.application_ended)
        return inbox

    async def handle_reply(self, protocol, message):
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return _refuse_reply(protocol, message)
        if message["type"] == "http.response.start":
            self._start_response(protocol, message)
            return None
        protocol.handle_reply(message)
        # Not after the last message of a response: Daphne kills an application that
        # lives on for long after it.
        if protocol.transport.unsent > UNSENT_LIMIT and "disconnected" not in details:
            await protocol.transport.drain()
        return None

    def _start_response(self, protocol, message):
        try:
            self.check_headers_type(message)
        except ValueError:
            protocol.basic_error(500, b"Server Error", "Server Error")
            raise
        protocol.handle_reply(message)

    def protocol_disconnected(self, protocol):
        # A rejected WebSocket comes here twice, the second time long forgotten.
        if protocol in self.connections:
            super().protocol_disconnected(protocol)

    def _check_stalls(self):
        self.stall_watch.check()
        reactor.callLater(min(2, self.stall_watch.stall_seconds / 4), self._check_stalls)


def serve(host, port, *, on_start=None, on_stop=None, ready=None, application=None):
    """Serve until SIGTERM or Ctrl-C; port 0 takes a free one. See Server for the hooks.

    Raises CannotListen, or whatever on_start raised.
    """
    prepare_process()
    proxy = {}
    if settings.TRUSTED_PROXY:
        proxy = {
            "proxy_forwarded_address_header": "X-Forwarded-For",
            "proxy_forwarded_port_header": "X-Forwarded-Port",
            "proxy_forwarded_proto_header": "X-Forwarded-Proto",
        }
    Server(
        application or import_string(settings.ASGI_APPLICATION),
        build_endpoint_description_strings(host=host, port=port),
        on_start=on_start,
        on_stop=on_stop,
        ready=ready,
        stall_seconds=settings.VIEWER_STALL_SECONDS,
        **proxy,
    ).run()


def _ending_quietly(application):
    async def run(scope, receive, send):
        with suppress(ClientGone):
            await application(scope, receive, send)

    return run


def _refuse_reply(protocol, message):
    is_lost = isinstance(protocol, WebSocket) or not protocol.finished
    if is_lost and message["type"] in ("websocket.send", "http.response.body"):
        raise ClientGone("The client has gone.")


async def _cancel(tasks):
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_SECONDS)


def _why_not(endpoint, error):
    if not isinstance(error, CannotListenError):
        return f"Cannot listen on {endpoint}: {error}. Check --host and --port."
    host, port, cause = error.interface, error.port, error.socketError
    number = getattr(cause, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use. Stop the program that uses it, "
            "or choose another port with --port."
        )
    if number == errno.EACCES:
        return f"Port {port} on {host} needs more rights. Choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {cause}. Check --host and --port."
