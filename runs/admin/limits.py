"""Limits: superusers set them, auditors read them."""

from django.contrib import admin
from django.template.defaultfilters import filesizeformat

from ..models import Limit
from .noting import NotingAdmin


@admin.register(Limit)
class LimitAdmin(NotingAdmin):
    list_display = ("whose", "runs_at_once", "launches_per_hour", "printed", "stored")
    list_select_related = ("user", "group")
    fields = (
        "user", "group", "runs_at_once", "launches_per_hour", "output_bytes_per_day",
        "stored_bytes",
    )  # fmt: skip
    autocomplete_fields = ("user", "group")
    search_fields = ("user__username", "group__name")
    ordering = ("user__username", "group__name")

    @admin.display(description="whose")
    def whose(self, limit):
        return str(limit)

    @admin.display(description="output per day", ordering="output_bytes_per_day")
    def printed(self, limit):
        return _size(limit.output_bytes_per_day)

    @admin.display(description="stored output", ordering="stored_bytes")
    def stored(self, limit):
        return _size(limit.stored_bytes)

    # Not by permissions: whoever may hand those out could raise their own limit.

    def has_add_permission(self, request):
        return request.user.is_superuser

    def has_change_permission(self, request, obj=None):
        return request.user.is_superuser

    def has_delete_permission(self, request, obj=None):
        # Where a group or a user is deleted theirs goes with it.
        return request.user.is_superuser


def _size(number: int | None) -> str | None:
    return None if number is None else filesizeformat(number)
