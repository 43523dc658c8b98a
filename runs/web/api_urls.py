"""Where the API, /health and /metrics are."""

from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from . import shared
from .api import api
from .errors import not_found, shaped
from .health import health
from .metrics import serve_metrics

calls, *names = api.urls
for pattern in calls:
    pattern.callback = shaped(pattern.callback)

# Before and after the calls: what is no call is told so in their shape, not as a page.
no_such_call = csrf_exempt(not_found)

urlpatterns = [
    path("health", csrf_exempt(health), name="health"),
    path("metrics", csrf_exempt(serve_metrics), name="metrics"),
    path("api/shared/<str:token>", csrf_exempt(shared.run)),
    path("api/shared/<str:token>/<str:name>", csrf_exempt(shared.call)),
    path("api/", no_such_call),
    path("api/", (calls, *names)),
    re_path(r"^api(/.*)?$", no_such_call),
]
