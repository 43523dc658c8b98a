"""The account page: password and API tokens."""

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from ..models import ApiToken


class PasswordChange(auth.PasswordChangeView):
    success_url = reverse_lazy("account")

    def form_valid(self, form):
        messages.success(self.request, "Your password is changed. Other sessions are logged out.")
        return super().form_valid(form)


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
    return _page(request, made=token, secret=secret)


@login_required
@require_POST
def revoke_token(request, pk):
    mine = ApiToken.objects.filter(user=request.user, pk=pk)
    if not mine.exists():
        raise Http404
    if mine.filter(revoked_at=None).update(revoked_at=timezone.now()):
        messages.success(request, "The token is revoked. What uses it is refused from now on.")
    return redirect("account")


def _page(request, status=200, **context):
    tokens = request.user.api_tokens.order_by("-pk")
    return render(request, "account.html", {"tokens": tokens, **context}, status=status)
