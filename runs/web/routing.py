"""What is answered outside Django's request cycle: sockets, streams and downloads."""

import re

from . import agent_streams, consumers, downloads, launch_streams, run_list, sse
from .exchange import answer

_RUN = r"(?P<run_id>[^/]+)"
_TOKEN = r"(?P<token>[^/]+)"

WEBSOCKETS = [
    (re.compile(rf"/ws/runs/{_RUN}/"), consumers.watch_run),
    (re.compile(r"/ws/runs/"), run_list.watch_runs),
    (re.compile(rf"/ws/shared/{_TOKEN}/"), consumers.watch_shared),
]
STREAMS = [
    (re.compile(rf"/api/runs/{_RUN}/events"), sse.events),
    (re.compile(rf"/api/shared/{_TOKEN}/events"), sse.shared_events),
    (re.compile(rf"/api/runs/{_RUN}/export\.(?P<format>[^/]+)"), downloads.download),
    (re.compile(r"/api/stream/(?P<name>command|python|structured)"), launch_streams.launch),
    (re.compile(r"/api/stream/agent"), agent_streams.launch),
    (re.compile(r"/api/stream/agent/init"), agent_streams.prepare),
    (re.compile(r"/api/stream/agent/(?P<session_id>[^/]+)"), agent_streams.attach),
]


def _resolve(routes, path: str):
    for pattern, target in routes:
        if match := pattern.fullmatch(path):
            return target, match.groupdict()
    return None, {}


async def websocket(scope: dict, receive, send) -> None:
    target, parameters = _resolve(WEBSOCKETS, scope["path"])
    await (target or consumers.no_such_socket)(scope, receive, send, **parameters)


def http(django):
    """Streams to their consumers, everything else to the Django application."""

    async def route(scope: dict, receive, send) -> None:
        target, parameters = _resolve(STREAMS, scope["path"])
        if target is None:
            await django(scope, receive, send)
        else:
            await answer(target, scope, receive, send, **parameters)

    return route
