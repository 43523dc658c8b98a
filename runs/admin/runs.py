"""Runs, with their exports."""

import json
import time
from collections.abc import AsyncIterator

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.http import StreamingHttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from ..access import AccessEvent, Action, address_of, note, note_once
from ..execution import dispatch
from ..models import Hold, Run
from ..streaming import database
from ..streaming.chain import check
from ..streaming.exports import FORMATS, export
from ..streaming.wire import duration
from .base import ReadOnlyAdmin, chunks_url, count, page_url

# How long the runs of one request are verified; a million chunks take some seconds.
VERIFY_SECONDS = 20.0


class RunList(ChangeList):
    def get_queryset(self, request, exclude_parameters=None):
        # Programs and environments can be long, and a list shows neither.
        found = super().get_queryset(request, exclude_parameters)
        return found.defer("program", "env_sealed", "env_names", "tasks", "error")


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = (
        "status", "title", "by", "kind", "created_at", "took", "chunks", "size", "exit_code",
    )  # fmt: skip
    list_display_links = ("status", "title")
    list_filter = ("status", "kind", "sandbox", "stalled")
    search_fields = ("title", "owner_name", "public_id")
    search_help_text = "Searches titles, owners, ids and programs."
    date_hierarchy = "created_at"
    ordering = ("-id",)
    list_per_page = 50
    actions = ("export_selected", "verify_selected", "cancel_selected")
    fieldsets = (
        (None, {"fields": (
            "title", "id_and_page", "by", "status", "error", "exports", "log", "events",
        )}),
        ("What ran", {"fields": (
            "kind", "mode", "language", "program_text", "cwd", "environment", "stdin", "timeout",
            "rerun_of",
        )}),
        ("What became of it", {"fields": (
            "created_at", "started_at", "finished_at", "took", "cancel_requested_at", "exit_code",
            "exit_codes", "tasks", "stalled", "size", "line_count", "dropped", "masked",
        )}),
        ("Proof", {"fields": ("checked_at", "check_found", "chain", "signature")}),
        ("Kept", {"fields": ("output_deletion", "held")}),
        ("Who executed it", {"fields": (
            "sandbox", "sandbox_id", "executor", "epoch", "lease_until",
        )}),
    )  # fmt: skip

    def get_queryset(self, request):
        # Sealed values have no business here, not even sealed.
        return super().get_queryset(request).defer("env_sealed")

    def get_changelist(self, request, **kwargs):
        return RunList

    def get_search_results(self, request, queryset, search_term):
        queryset = queryset.alias(stored_program=Cast("program", TextField()))
        for word in search_term.split():
            found = (
                Q(title__icontains=word) | Q(owner_name__icontains=word) | Q(public_id__exact=word)
            )
            # Programs are stored as JSON: look for the word as it is written there.
            for ascii_only in (True, False):
                written = json.dumps(word, ensure_ascii=ascii_only)[1:-1]
                found |= Q(stored_program__icontains=written)
            queryset = queryset.filter(found)
        return queryset, False

    def view_on_site(self, run):
        return page_url(run)

    def has_cancel_permission(self, request) -> bool:
        return request.user.is_superuser

    def render_change_form(self, request, context, obj=None, **kwargs):
        note_once(Action.VIEW, request.user, address_of(request), obj, by="admin")
        return super().render_change_form(request, context, obj=obj, **kwargs)

    # --- columns and fields ----------------------------------------------------

    @admin.display(description="owner", ordering="owner_name")
    def by(self, run):
        return run.owner_name if run.owner_id else f"{run.owner_name} (account deleted)"

    @admin.display(description="duration")
    def took(self, run):
        seconds = duration(run)
        return None if seconds is None else f"{seconds:,.1f} s"

    @admin.display(description="chunks", ordering="last_seq")
    def chunks(self, run):
        return format_html('<a href="{}">{}</a>', chunks_url(run), f"{run.last_seq:,}")

    @admin.display(description="bytes", ordering="output_bytes")
    def size(self, run):
        return filesizeformat(run.output_bytes)

    @admin.display(description="id")
    def id_and_page(self, run):
        return format_html('<a href="{}">{}</a>', page_url(run), run.public_id)

    @admin.display(description="program")
    def program_text(self, run):
        programs = run.program if isinstance(run.program, list) else [run.program]
        return format_html_join("", '<pre class="program">{}</pre>', ([text] for text in programs))

    @admin.display(description="environment")
    def environment(self, run):
        """Which values it had, and which of them are secrets."""
        saved = set(run.saved_secrets)
        return ", ".join(
            f"{name}={run.env_plain[name]}" if name in run.env_plain
            else f"{name} (saved secret)" if name in saved else f"{name} (secret)"
            for name in run.env_names
        ) or None  # fmt: skip

    @admin.display(description="download")
    def exports(self, run):
        links = ((f"/api/runs/{run.public_id}/export.{name}", name) for name in FORMATS)
        return format_html_join(" · ", '<a href="{}">{}</a>', links)

    @admin.display(description="who did what")
    def events(self, run):
        number = AccessEvent.objects.filter(run=run.public_id).count()
        url = f"{reverse('admin:runs_accessevent_changelist')}?run={run.public_id}"
        return format_html('<a href="{}">{}</a>', url, count(number, "event"))

    @admin.display(description="log")
    def log(self, run):
        chunks = f"{run.last_seq:,} chunks"
        return format_html('<a href="{}">{}</a>', chunks_url(run), chunks)

    @admin.display(description="output")
    def output_deletion(self, run):
        return run.output_deletion or "Stored."

    @admin.display(description="legal hold")
    def held(self, run):
        holds = ((hold_url(hold), f"{hold}: {hold.reason}") for hold in Hold.objects.of(run))
        listed = format_html_join(" · ", '<a href="{}">{}</a>', holds)
        place = f"{reverse('admin:runs_hold_add')}?run={run.public_id}"
        return listed or format_html('None. <a href="{}">Place one</a>', place)

    # --- actions ---------------------------------------------------------------

    @admin.action(description="Export selected runs (ndjson)", permissions=["view"])
    def export_selected(self, request, queryset):
        for run in queryset.defer("program").iterator():
            note(Action.EXPORT, request.user, address_of(request), run, format="ndjson", by="admin")
        return StreamingHttpResponse(
            export_each(queryset),
            content_type="application/x-ndjson",
            headers={"Content-Disposition": 'attachment; filename="runs.ndjson"'},
        )

    @admin.action(description="Verify selected runs", permissions=["view"])
    def verify_selected(self, request, queryset):
        """As `manage.py verify`: whether each is complete and unchanged."""
        until, left = time.monotonic() + VERIFY_SECONDS, 0
        for run in queryset.defer("program").iterator():
            if time.monotonic() > until:
                left += 1
                continue
            finding = check(run)
            level = messages.SUCCESS if finding.is_intact else messages.ERROR
            self.message_user(request, f"Verified {run}: {finding.sentence}", level)
        if left:
            text = f"{count(left, 'run')} not looked at: it took too long. Select fewer at a time."
            self.message_user(request, text, messages.WARNING)

    @admin.action(description="Cancel selected runs", permissions=["cancel"])
    def cancel_selected(self, request, queryset):
        asked, over = 0, 0
        for run in queryset.iterator():
            if dispatch.cancel(run):
                asked += 1
                self.log_change(request, run, "Cancelled.")
                note(Action.CANCEL, request.user, address_of(request), run, by="admin")
            else:
                over += 1
        text = f"Cancelled {count(asked, 'run')}."
        if over:
            text += f" {count(over, 'run')} had already ended."
        self.message_user(request, text, messages.SUCCESS if asked else messages.WARNING)


def hold_url(hold: Hold) -> str:
    return reverse("admin:runs_hold_change", args=[hold.pk])


async def export_each(runs) -> AsyncIterator[bytes]:
    """Runs as one ndjson: each begins with its run's line, then its chunks follow.

    Holds one run and one page of it, however many were selected.
    """
    pk = 0
    while run := await database.read(_run_after, runs, pk):
        pk, pieces = run.pk, export(run, "ndjson")
        while (piece := await database.read(next, pieces, None)) is not None:
            yield piece


def _run_after(runs, pk: int) -> Run | None:
    return runs.filter(pk__gt=pk).order_by("pk").first()
