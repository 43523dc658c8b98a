"""A run for whoever holds its link: its page, and the calls its scripts make.

The token in the address is all that counts here. It opens what is listed in this file
and the two streams (consumers.watch_shared, sse.shared_events), of one run, and reads.
"""

from contextlib import suppress
from functools import wraps

import orjson
from django.db import OperationalError
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import resolve
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from ..access import Action, address_of, note
from ..models import Share
from ..streaming.wire import run_dict
from . import result_pages
from .errors import HEADERS, NO_SUCH_LINK, error_response, method_not_allowed
from .guest import Guest, told
from .identity import identify_guest
from .pages import part_of, shown_run

CALLS = ("chunks", "outline", "marks", "search")
PRIVATE = {
    # The address opens the run: it goes nowhere and into no index.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


def for_guests(refuse):
    """Hand the view a guest in the place of the token; `refuse` answers where there is none."""

    def decorate(view):
        @wraps(view)
        def answer(request, token, **kwargs):
            identity = identify_guest(token)
            response = view(request, identity, **kwargs) if identity else refuse(request)
            for name, value in PRIVATE.items():
                response.headers[name] = value
            return response

        return answer

    return decorate


def _gone(request):
    return render(request, "runs/shared_gone.html", _nobody(Guest(None)), status=404)


def _no_such_link(request):
    return error_response("not_found", NO_SUCH_LINK)


def _nobody(guest: Guest) -> dict:
    """Even of who is logged in the page says nothing: it is the same for everybody."""
    return {"guest": guest, "user": guest, "messages": []}


# --- pages ---------------------------------------------------------------------


@require_safe
@for_guests(_gone)
def page(request, identity):
    guest = identity.user
    run = guest.share.run
    context = shown_run(request, run, told(run_dict(run), guest.share))
    seen = part_of(context["window"])
    note(Action.SHARE_USED, guest, address_of(request), run, **seen)
    with suppress(OperationalError):  # a full disk must not keep anybody from reading
        Share.objects.count_use(guest.share)
    return render(request, "runs/run.html", context | _nobody(guest))


@require_safe
@xframe_options_sameorigin
@for_guests(_gone)
def result_frame(request, identity, seq):
    return result_pages.frame(request, identity.user, identity.user.share.run, seq)


@require_safe
@for_guests(_gone)
def result_download(request, identity, seq):
    return result_pages.file(request, identity.user, identity.user.share.run, seq)


# --- calls ---------------------------------------------------------------------


def only_reads(view):
    """As require_safe, in the API's shape."""

    @wraps(view)
    def answer(request, **kwargs):
        if request.method not in ("GET", "HEAD"):
            return method_not_allowed("GET, HEAD")
        return view(request, **kwargs)

    return answer


@only_reads
@for_guests(_no_such_link)
def run(request, identity):
    share = identity.user.share
    return HttpResponse(orjson.dumps(told(run_dict(share.run), share)), headers=HEADERS)


@only_reads
@for_guests(_no_such_link)
def call(request, identity, name):
    """One of the run's own calls, asked as the guest."""
    if name not in CALLS:
        return error_response("not_found", f"A shared link opens {', '.join(CALLS)} and events.")
    request.guest = identity
    match = resolve(f"/api/runs/{identity.user.share.run.public_id}/{name}")
    return match.func(request, **match.kwargs)
