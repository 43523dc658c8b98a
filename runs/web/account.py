"""The account page: password, API tokens and saved secrets."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from ..access import Action, address_of, note
from ..kinds import check_env_name, check_secret
from ..models import ApiToken, Run, SavedSecret, standings_of

MOST_SECRETS = 100


class PasswordChange(auth.PasswordChangeView):
    success_url = reverse_lazy("account")

    def form_valid(self, form):
        user = self.request.user
        note(Action.PASSWORD, user, address_of(self.request), subject=user.get_username())
        messages.success(self.request, "Your password is changed. Other sessions are logged out.")
        return super().form_valid(form)


def locked_out(request, response=None, credentials=None, *args, **kwargs):
    """The answer of the login page to who failed too often."""
    wait = settings.AXES_COOLOFF_TIME
    context = {"minutes": int(wait.total_seconds() // 60), "form": None}
    response = render(request, "registration/locked_out.html", context, status=429)
    response["Retry-After"] = str(int(wait.total_seconds()))
    return response


@login_required
@require_GET
def account(request):
    return _page(request)


@never_cache
@login_required
def make_token(request):
    """Show the secret in the answer itself: it is never stored, so never shown again."""
    if request.method != "POST":
        return redirect("account")
    name = " ".join(request.POST.get("name", "").split())
    limit = ApiToken._meta.get_field("name").max_length
    if not name:
        return _page(request, error="Give the token a name that says what uses it.", status=400)
    if len(name) > limit:
        return _page(
            request, error=f"The name is too long; {limit} characters at most.", status=400
        )
    if "\0" in name:
        return _page(request, error="The name contains a NUL byte. Remove it.", status=400)
    token, secret = ApiToken.objects.make(request.user, name)
    note(Action.TOKEN_MADE, request.user, address_of(request), subject=str(token))
    return _page(request, made=token, secret=secret)


@login_required
@require_POST
def revoke_token(request, pk):
    mine = ApiToken.objects.filter(user=request.user, pk=pk)
    if not mine.exists():
        raise Http404
    if mine.filter(revoked_at=None).update(revoked_at=timezone.now()):
        note(Action.TOKEN_REVOKED, request.user, address_of(request), subject=str(mine.get()))
        messages.success(request, "The token is revoked. What uses it is refused from now on.")
    return redirect("account")


@never_cache
@login_required
def save_secret(request):
    if request.method != "POST":
        return redirect("account")
    name, value = request.POST.get("name", "").strip(), request.POST.get("value", "")
    mine = SavedSecret.objects.filter(user=request.user)
    try:
        check_env_name(name)
        # Browsers send CRLF from a text area.
        check_secret(value := value.replace("\r\n", "\n"))
    except ValueError as error:
        return _page(request, secret_error=str(error), secret_name=name[:128], status=400)
    if mine.exclude(name=name).count() >= MOST_SECRETS:
        error = f"{MOST_SECRETS} secrets are the most. Delete one that is not used any more."
        return _page(request, secret_error=error, secret_name=name, status=400)
    is_new = SavedSecret.objects.save_value(request.user, name, value)
    note(Action.SECRET_SAVED, request.user, address_of(request), subject=name, changed=not is_new)
    messages.success(request, f"{name} is {'saved' if is_new else 'changed'}.")
    return redirect("account")


@login_required
@require_POST
def delete_secret(request, pk):
    mine = SavedSecret.objects.filter(user=request.user, pk=pk)
    name = mine.values_list("name", flat=True).first()
    if name is None:
        raise Http404
    mine.delete()
    note(Action.SECRET_DELETED, request.user, address_of(request), subject=name)
    messages.success(request, "The secret is deleted. Runs that have it already keep their copy.")
    return redirect("account")


def _page(request, status=200, **context):
    tokens = request.user.api_tokens.order_by("-pk")
    saved = request.user.saved_secrets.order_by("name").defer("sealed")
    standings = standings_of(request.user, Run.objects)
    context |= {"tokens": tokens, "saved": saved, "standings": standings}
    context["is_limited"] = any(standing.most is not None for standing in standings)
    return render(request, "account.html", context, status=status)
