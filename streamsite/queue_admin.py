"""Procrastinate's jobs in the admin, to look at: what becomes of a run is decided elsewhere."""

from django.contrib import admin
from procrastinate.contrib.django.admin import ProcrastinateEventInline, ProcrastinateJobAdmin
from procrastinate.contrib.django.models import ProcrastinateJob

admin.site.unregister(ProcrastinateJob)


class EventInline(ProcrastinateEventInline):
    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(ProcrastinateJob)
class JobAdmin(ProcrastinateJobAdmin):
    # Theirs retry and abort jobs. Our jobs only say that there is work: to do one
    # again, or not at all, would look as if it did something to a run.
    actions = ()
    inlines = (EventInline,)
    show_full_result_count = False
