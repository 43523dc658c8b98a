"""What all of them have in common."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from ..models import Run


class ReadOnlyAdmin(admin.ModelAdmin):
    """For superusers too: a record that can be edited proves nothing."""

    show_full_result_count = False

    class Media:
        css = {"all": ["runs/admin.css"]}

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


def run_link(public_id: str):
    return public_id and format_html('<a href="/runs/{}/">{}</a>', public_id, public_id)


def page_url(run: Run) -> str:
    return f"/runs/{run.public_id}/"


def chunks_url(run: Run) -> str:
    return f"{reverse('admin:runs_chunk_changelist')}?run__id__exact={run.pk}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
