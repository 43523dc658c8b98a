"""Who did what."""

import csv
import io
from collections.abc import Iterator
from itertools import chain

from django.contrib import admin
from django.http import StreamingHttpResponse
from django.utils.html import format_html

from ..access import AccessEvent
from .base import ReadOnlyAdmin


@admin.register(AccessEvent)
class AccessEventAdmin(ReadOnlyAdmin):
    """Who did what. Nobody changes or deletes it here, superusers neither."""

    list_display = ("at", "who", "action", "run_link", "subject", "address", "detail")
    list_display_links = ("at",)
    list_filter = ("action", "at")
    fields = ("at", "who", "action", "run_link", "subject", "address", "detail")
    search_fields = ("actor_name", "run", "subject", "address")
    search_help_text = "Searches names, runs' ids, subjects and addresses."
    ordering = ("-id",)
    actions = ("export_selected",)

    @admin.display(description="who", ordering="actor_name")
    def who(self, event):
        return event.actor_name or "nobody"

    @admin.display(description="run")
    def run_link(self, event):
        return event.run and format_html('<a href="/runs/{}/">{}</a>', event.run, event.run)

    @admin.action(description="Export selected events (csv)", permissions=["view"])
    def export_selected(self, request, queryset):
        columns = ("at", "actor_name", "action", "run", "subject", "address", "detail")
        rows = queryset.order_by("pk").values_list(*columns)
        return StreamingHttpResponse(
            csv_of(columns, rows),
            content_type="text/csv",
            headers={"Content-Disposition": 'attachment; filename="access.csv"'},
        )


def csv_of(columns, rows) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    for row in chain([columns], rows.iterator(chunk_size=1000)):
        # A spreadsheet takes what begins so for a formula.
        writer.writerow(
            [
                f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
                for cell in row
            ]
        )
        yield line.getvalue()
        line.seek(0)
        line.truncate()
