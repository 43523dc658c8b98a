"""GET /metrics: the numbers of this process, for Prometheus. No login: a token or loopback."""

import ipaddress
from collections.abc import Iterable

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from .. import metrics
from ..models import ACTIVE, Run
from .errors import HEADERS, ApiError, error_response, method_not_allowed
from .health import version
from .identity import Unauthorized, identify_request

# Headers by which a proxy shows itself.
PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")
WHO_MAY = (
    "Send an API token of somebody who may view all runs as `Authorization: Bearer …`, "
    "or ask from the server's own machine."
)


def serve_metrics(request: HttpRequest, behind_proxy: bool | None = None) -> HttpResponse:
    """`behind_proxy`: whether a trusted one is in front; as the settings say if None."""
    if request.method not in ("GET", "HEAD"):
        return method_not_allowed("GET")
    try:
        check_may_read(request, settings.TRUSTED_PROXY if behind_proxy is None else behind_proxy)
    except Unauthorized as error:
        return error_response("unauthorized", str(error))
    except ApiError as error:
        return error_response(error.code, error.message)
    except DatabaseError:
        return error_response("unavailable", "The database does not answer. Try again soon.")
    metrics.BUILD.info({"version": version()})
    everything = CollectorRegistry()
    everything.register(REGISTRY)
    everything.register(DatabaseNumbers())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(everything), headers=HEADERS | {"Content-Type": content_type})


class DatabaseNumbers:
    """What all processes have in common. Read anew each time, so that nothing is stale."""

    def describe(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("streamsite_database_up", "1 if the database could be read.")
        yield GaugeMetricFamily(
            "streamsite_runs", "Runs that have not ended, of all processes.", labels=["status"]
        )

    def collect(self) -> Iterable[Metric]:
        up, runs = self.describe()
        try:
            counts = active_counts()
        except DatabaseError:
            counts = {}
        up.add_metric([], bool(counts))
        for status, count in counts.items():
            runs.add_metric([status], count)
        yield from (up, runs)


def active_counts() -> dict[str, int]:
    rows = Run.objects.active().values_list("status").annotate(n=Count("pk")).order_by()
    return {status.value: 0 for status in ACTIVE} | dict(rows)


# --- who may read them ---------------------------------------------------------


def check_may_read(request: HttpRequest, behind_proxy: bool) -> None:
    """Raises Unauthorized or ApiError. A session counts for nothing here."""
    if "Authorization" in request.headers:
        if not identify_request(request).user.has_perm("runs.view_run"):
            raise ApiError("forbidden", "This token's user may not view all runs. " + WHO_MAY)
    elif not is_from_this_machine(request, behind_proxy):
        raise Unauthorized(WHO_MAY)


def is_from_this_machine(request: HttpRequest, behind_proxy: bool) -> bool:
    """Whether no machine but ours had a part in this request.

    A proxy on this machine connects from loopback for the whole world. The one we
    trust must name the client, and so must whatever is before it; any other rules it out.
    """
    addresses = [request.META.get("REMOTE_ADDR", "")]
    if behind_proxy:
        addresses += request.headers.get("X-Forwarded-For", "").split(",")
    elif any(name in request.headers for name in PROXY_HEADERS):
        return False
    return all(_is_loopback(address.strip()) for address in addresses)


def _is_loopback(address: str) -> bool:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(known, "ipv4_mapped", None) or known).is_loopback
