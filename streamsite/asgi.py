"""The ASGI application. Django is set up before anything that needs its models."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
django = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from runs.web import routing  # noqa: E402

application = ProtocolTypeRouter({"http": routing.http(django), "websocket": routing.websocket})
