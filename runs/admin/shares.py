"""Shared links: of which run, made by whom, how often opened."""

from django.contrib import admin
from django.utils.html import format_html

from ..access import Action, address_of, note
from ..models import Share
from .base import ReadOnlyAdmin, count, page_url


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    """The links themselves are not shown: whoever opens them is noted as a stranger."""

    list_display = (
        "id", "run_link", "label", "made_by_name", "created_at", "expires_at", "revoked_at",
        "uses", "used_at",
    )  # fmt: skip
    list_select_related = ("run",)
    list_filter = ("created_at",)
    fields = list_display
    search_fields = ("label", "made_by_name", "run__public_id", "run__title")
    ordering = ("-id",)
    actions = ("revoke_selected",)

    def has_delete_permission(self, request, obj=None):
        # It goes with its run: refused here, no run could be deleted with it.
        page = (request.resolver_match and request.resolver_match.url_name) or ""
        return request.user.is_superuser and not page.startswith("runs_share_")

    def has_revoke_permission(self, request) -> bool:
        return request.user.is_superuser

    @admin.display(description="run")
    def run_link(self, share):
        return format_html('<a href="{}">{}</a>', page_url(share.run), share.run.title)

    @admin.action(description="Revoke selected links", permissions=["revoke"])
    def revoke_selected(self, request, queryset):
        revoked = [share for share in queryset.select_related("run") if Share.objects.revoke(share)]
        for share in revoked:
            self.log_change(request, share, "Revoked.")
            note(
                Action.SHARE_REVOKED, request.user, address_of(request), share.run, link=str(share)
            )
        self.message_user(request, f"Revoked {count(len(revoked), 'link')}.")
