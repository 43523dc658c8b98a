"""Webhooks and what was sent to them: whose, where to by host, how it went."""

from django.contrib import admin
from django.utils.html import format_html

from ..models import Delivery, Webhook
from .credentials import GoesWithUserAdmin


@admin.register(Webhook)
class WebhookAdmin(GoesWithUserAdmin):
    """Without the path, in which some services have a secret."""

    list_display = ("host", "user", "statuses", "created_at", "changed_at")
    list_select_related = ("user",)
    fields = list_display
    search_fields = ("user__username",)
    ordering = ("user__username",)

    def get_queryset(self, request):
        return super().get_queryset(request).defer("sealed")


@admin.register(Delivery)
class DeliveryAdmin(GoesWithUserAdmin):
    list_display = (
        "public_id", "created_at", "user", "host", "event", "run_link", "state", "attempts",
        "status_code", "error", "tried_at", "next_at",
    )  # fmt: skip
    list_select_related = ("webhook__user",)
    list_filter = ("state", "event", "created_at")
    fields = list_display
    search_fields = ("public_id", "run", "title", "webhook__user__username")
    ordering = ("-id",)

    @admin.display
    def user(self, delivery):
        return delivery.webhook.user

    @admin.display
    def host(self, delivery):
        return delivery.webhook.host

    @admin.display(description="run")
    def run_link(self, delivery):
        return delivery.run and format_html(
            '<a href="/runs/{}/">{}</a>', delivery.run, delivery.title
        )
