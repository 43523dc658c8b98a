"""The ASGI application. Django is set up before anything that needs its models."""

import os
from concurrent.futures import ThreadPoolExecutor

import django
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
django.setup(set_prefix=False)

from runs.execution import dispatch  # noqa: E402
from runs.web import routing  # noqa: E402
from streamsite.process import prepare_process  # noqa: E402

REQUESTS = ThreadPoolExecutor(settings.REQUEST_THREADS, "request")


class Handler(ASGIHandler):
    """Django with one hop to a thread per request, of a few threads that stay.

    Our middleware and views are synchronous. Django's own handler would hop twice
    for each of them: 9 ms for a request that does next to nothing, against 4. And it
    makes a thread for each request, whose database connection stays open until memory
    is tidied: 64 requests at once left 194 of them at PostgreSQL.
    """

    def load_middleware(self, is_async=False):
        super().load_middleware(is_async=False)

    async def __call__(self, scope, receive, send):
        await self.handle(scope, receive, send)

    async def get_response_async(self, request):
        hop = sync_to_async(self._respond, thread_sensitive=False, executor=REQUESTS)
        return await hop(request)

    def _respond(self, request):
        # Django does it in the threads that it has made.
        close_old_connections()
        try:
            return self.get_response(request)
        finally:
            close_old_connections()


async def lifespan(scope, receive, send):
    """Other servers than ours say so when their loop runs; `serve` sees to it by itself."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            prepare_process()
            await dispatch.attach()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


application = ProtocolTypeRouter(
    {
        "http": routing.http(Handler()),
        "websocket": routing.websocket,
        "lifespan": lifespan,
    }
)
