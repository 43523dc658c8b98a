"""The page on which a run's owner makes shared links, sees them and revokes them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_http_methods

from ..models import Run
from .identity import visible_run
from .sharing import CHOSEN_FIRST, Refused, choices, make_share, number_in, revoke_share

SHOWN = 200


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def shares(request, public_id):
    run = _own(request, public_id)
    if request.method != "POST":
        return _page(request, run)
    seconds, label = request.POST.get("seconds", ""), request.POST.get("label", "")
    try:
        made = make_share(request, request.user, run, number_in(seconds), label)
    except Refused as refused:
        return _page(request, run, error=str(refused), label=label[:200], status=422)
    return _page(request, run, made=made, status=201)


@login_required
@require_http_methods(["GET", "POST"])
def revoke(request, public_id, pk):
    run = _own(request, public_id)
    if request.method == "POST":
        share = run.shares.filter(pk=pk).first()
        if share is None:
            raise Http404
        if revoke_share(request, request.user, share):
            messages.success(request, "The link is revoked. It opens nothing any more.")
    return redirect("run-shares", run.public_id)


def _own(request, public_id) -> Run:
    run = visible_run(request.user, public_id)
    if run is None:
        raise Http404
    if not run.may_be_changed_by(request.user):
        raise PermissionDenied
    return run


def _page(request, run: Run, status=200, **context):
    found = list(run.shares.select_related("made_by", "run").order_by("-pk")[:SHOWN])
    for share in found:
        share.url = request.build_absolute_uri(share.path)
    context |= {"run": run, "shares": found, "choices": choices(), "chosen_first": CHOSEN_FIRST}
    response = render(request, "runs/shares.html", context, status=status)
    patch_cache_control(response, no_store=True)
    return response
