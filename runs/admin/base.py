"""What all of them have in common."""

from django.contrib import admin
from django.urls import reverse

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


def page_url(run: Run) -> str:
    return f"/runs/{run.public_id}/"


def chunks_url(run: Run) -> str:
    return f"{reverse('admin:runs_chunk_changelist')}?run__id__exact={run.pk}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
