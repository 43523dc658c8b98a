"""The ASGI application. Django is set up before anything that needs its models."""

import os

import django
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter
from django.core.handlers.asgi import ASGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
django.setup(set_prefix=False)

from runs.web import routing  # noqa: E402


class Handler(ASGIHandler):
    """Django with one hop to a thread per request.

    Our middleware and views are synchronous. Django's own handler would hop twice
    for each of them: 9 ms for a request that does next to nothing, against 4.
    """

    def load_middleware(self, is_async=False):
        super().load_middleware(is_async=False)

    async def get_response_async(self, request):
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


application = ProtocolTypeRouter({"http": routing.http(Handler()), "websocket": routing.websocket})
