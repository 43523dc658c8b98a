"""The page of a user's webhook: where it leads, of which ends it tells, how that went."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from ..access import Action, address_of, note
from ..models import ACTIVE, Delivery, Status, Webhook
from ..targets import BadTarget, parse_target

FINAL = [(status.value, status.label) for status in Status if status not in ACTIVE]
SHOWN = 50
# Tests that wait to be sent.
MOST_TESTS = 5


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request):
    if request.method != "POST":
        return _page(request)
    url = request.POST.get("url", "").strip()
    statuses = [value for value, _ in FINAL if value in request.POST.getlist("status")]
    try:
        target = parse_target(url)
        if not statuses:
            raise BadTarget("Choose at least one end to be told of.")
    except BadTarget as error:
        return _page(request, error=str(error), url=url[:600], chosen=statuses, status=422)
    secret = Webhook.objects.save_target(request.user, url, statuses)
    _note(request, Action.WEBHOOK_SAVED, target.authority, statuses=statuses)
    if not secret:
        messages.success(request, "The webhook is saved.")
        return redirect("webhook")
    return _page(request, secret=secret)


def posted(view):
    """For what a button does to the user's webhook; a GET leads to its page."""

    @never_cache
    @login_required
    @require_http_methods(["GET", "POST"])
    def answer(request):
        if request.method != "POST":
            return redirect("webhook")
        hook = Webhook.objects.filter(user=request.user).first()
        if hook is None:
            raise Http404
        return view(request, hook)

    return answer


@posted
def new_secret(request, hook):
    secret = Webhook.objects.renew_secret(hook)
    _note(request, Action.WEBHOOK_SAVED, hook.host, secret="renewed")
    return _page(request, secret=secret)


@posted
def test(request, hook):
    waiting = hook.deliveries.filter(event="test", state=Delivery.State.WAITING)
    if waiting.count() >= MOST_TESTS:
        messages.info(request, "So many tests are waiting already. Look at how they went first.")
    else:
        Delivery.objects.test(hook)
        messages.success(request, "A test is being sent. Reload the page to see how it went.")
    return redirect("webhook")


@posted
def delete(request, hook):
    hook.delete()
    _note(request, Action.WEBHOOK_DELETED, hook.host)
    messages.success(request, "The webhook is deleted, and what waited to be sent to it.")
    return redirect("webhook")


def _note(request, action: Action, host: str, **detail) -> None:
    # Not its path, which may be a secret of the service there.
    note(action, request.user, address_of(request), subject=host, **detail)


def _page(request, status=200, **context):
    hook = Webhook.objects.filter(user=request.user).first()
    chosen = context.pop("chosen", hook.statuses if hook else [value for value, _ in FINAL])
    context = {
        "hook": hook,
        "url": hook.url if hook else "",
        "statuses": [(value, label, value in chosen) for value, label in FINAL],
        "deliveries": hook.deliveries.order_by("-pk")[:SHOWN] if hook else [],
        **context,
    }
    return render(request, "webhook.html", context, status=status)
