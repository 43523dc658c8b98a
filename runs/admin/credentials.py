"""Tokens and saved secrets: whose they are, never what they are."""

from django.contrib import admin
from django.db.models.functions import Now

from ..access import Action, address_of, note
from ..models import ApiToken, SavedSecret
from .base import ReadOnlyAdmin, count


class GoesWithUserAdmin(ReadOnlyAdmin):
    def has_delete_permission(self, request, obj=None):
        # It goes with the user: refused here, nobody who has one could be deleted.
        page = (request.resolver_match and request.resolver_match.url_name) or ""
        return request.user.is_superuser and not page.startswith(f"runs_{self.opts.model_name}_")


@admin.register(SavedSecret)
class SavedSecretAdmin(GoesWithUserAdmin):
    """Whose secrets there are; what they are is nobody's business."""

    list_display = ("name", "user", "created_at", "changed_at", "used_at")
    list_select_related = ("user",)
    fields = list_display
    search_fields = ("name", "user__username")
    ordering = ("name",)

    def get_queryset(self, request):
        return super().get_queryset(request).defer("sealed")


@admin.register(ApiToken)
class ApiTokenAdmin(GoesWithUserAdmin):
    list_display = ("hint", "name", "user", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    fields = list_display
    search_fields = ("name", "hint", "user__username")
    ordering = ("-id",)
    actions = ("revoke_selected",)

    def has_revoke_permission(self, request) -> bool:
        return request.user.is_superuser

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke_selected(self, request, queryset):
        usable = list(queryset.filter(revoked_at=None))
        ApiToken.objects.filter(pk__in=[token.pk for token in usable]).update(revoked_at=Now())
        for token in usable:
            self.log_change(request, token, "Revoked.")
            note(Action.TOKEN_REVOKED, request.user, address_of(request), subject=str(token))
        self.message_user(request, f"Revoked {count(len(usable), 'token')}.")
