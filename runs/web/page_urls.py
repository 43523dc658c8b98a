"""The pages' addresses; streamsite/urls.py includes them at the root."""

from django.contrib.auth import views as auth
from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from . import account, compare, pages, result_pages, shared, shares, webhooks

# Browsers ask for it where a page names no icon, as in the admin.
icon = RedirectView.as_view(url=static("runs/icon.svg"))

urlpatterns = [
    path("favicon.ico", icon),
    path("", pages.launch, name="launch"),
    path("runs/", pages.run_list, name="run-list"),
    path("runs/<str:public_id>/", pages.run_page, name="run-page"),
    path("runs/<str:public_id>/access/", pages.run_access, name="run-access"),
    path("runs/<str:public_id>/cancel/", pages.cancel, name="run-cancel"),
    path("runs/<str:public_id>/again/", pages.run_again, name="run-again"),
    path("runs/<str:public_id>/delete/", pages.delete, name="run-delete"),
    path("runs/<str:public_id>/results/<int:seq>/", result_pages.result_frame, name="run-result"),
    path(
        "runs/<str:public_id>/results/<int:seq>/download",
        result_pages.result_download,
        name="run-result-file",
    ),
    path("runs/<str:public_id>/compare/", compare.choose, name="run-compare"),
    path("runs/<str:public_id>/compare/<str:other_id>/", compare.page, name="run-compared"),
    path("runs/<str:public_id>/shares/", shares.shares, name="run-shares"),
    path("runs/<str:public_id>/shares/<int:pk>/revoke/", shares.revoke, name="share-revoke"),
    path("shared/<str:token>/", shared.page, name="shared"),
    path("shared/<str:token>/results/<int:seq>/", shared.result_frame),
    path("shared/<str:token>/results/<int:seq>/download", shared.result_download),
    path("account/", account.account, name="account"),
    path("account/tokens/", account.make_token, name="token-make"),
    path("account/tokens/<int:pk>/revoke/", account.revoke_token, name="token-revoke"),
    path("account/secrets/", account.save_secret, name="secret-save"),
    path("account/secrets/<int:pk>/delete/", account.delete_secret, name="secret-delete"),
    path("account/webhook/", webhooks.webhook, name="webhook"),
    path("account/webhook/secret/", webhooks.new_secret, name="webhook-secret"),
    path("account/webhook/test/", webhooks.test, name="webhook-test"),
    path("account/webhook/delete/", webhooks.delete, name="webhook-delete"),
    path("account/password/", account.PasswordChange.as_view(), name="password_change"),
    path(
        "accounts/login/",
        auth.LoginView.as_view(redirect_authenticated_user=True),
        name="login",
    ),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
]
