"""A worker's own /metrics and /health; it serves nothing else and has no web server."""

import logging
import socket
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.http import HttpResponse
from prometheus_client.exposition import ThreadingWSGIServer

from runs.web.errors import error_response
from runs.web.health import health
from runs.web.metrics import serve_metrics

from .server import CannotListen

log = logging.getLogger(__name__)


def serve_monitoring(host: str, port: int) -> tuple[str, int]:
    """Serve from a thread until the process ends; where. Raises CannotListen."""
    kind = _IPv6 if ":" in host else ThreadingWSGIServer
    try:
        server = make_server(host, port, _answer, kind, _Handler)
    except (OSError, OverflowError) as error:
        raise CannotListen(
            f"Metrics cannot be served on {host} port {port}: {error}. "
            "Choose another address with --metrics."
        ) from error
    threading.Thread(target=server.serve_forever, name="monitoring", daemon=True).start()
    return server.server_address[:2]


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds for which a silent client keeps its thread

    def log_message(self, *args):
        pass  # no access log


class _IPv6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


def _answer(environ: dict, start_response) -> list[bytes]:
    request = WSGIRequest(environ)
    try:
        response = _respond(request)
    except Exception:
        log.exception("%s failed", request.path)
        response = error_response("internal", "It failed. The worker's log says why.")
    finally:
        connection.close()  # the thread ends, too
    status = f"{response.status_code} {response.reason_phrase}"
    start_response(status, list(response.items()))
    return [] if request.method == "HEAD" else [response.content]


def _respond(request: WSGIRequest) -> HttpResponse:
    match request.path:
        case "/metrics":
            return serve_metrics(request, behind_proxy=False)
        case "/health":
            return health(request)
    return error_response("not_found", "A worker has /metrics and /health only.")
