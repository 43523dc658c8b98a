"""The admin for auditing: everything can be read, nothing edited."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from itertools import chain

import orjson
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Prefetch, Q, TextField
from django.db.models.functions import Cast, Left, Now
from django.http import StreamingHttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from .access import AccessEvent, Action, address_of, note
from .execution import dispatch
from .models import ApiToken, Chunk, Run, SavedSecret
from .streaming import database
from .streaming.exports import FORMATS, export
from .streaming.wire import duration

# A list shows the beginning of a text; a chunk may hold a megabyte of it.
BEGINNING = 160


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
    actions = ("export_selected", "cancel_selected")
    fieldsets = (
        (None, {"fields": ("title", "id_and_page", "by", "status", "error", "exports", "log")}),
        ("What ran", {"fields": (
            "kind", "mode", "language", "program_text", "cwd", "environment", "stdin", "timeout",
            "rerun_of",
        )}),
        ("What became of it", {"fields": (
            "created_at", "started_at", "finished_at", "took", "cancel_requested_at", "exit_code",
            "exit_codes", "tasks", "stalled", "size", "line_count", "dropped", "masked",
        )}),
        ("Proof", {"fields": ("checked_at", "check_found", "chain", "signature")}),
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

    @admin.display(description="log")
    def log(self, run):
        chunks = f"{run.last_seq:,} chunks"
        return format_html('<a href="{}">{}</a>', chunks_url(run), chunks)

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


class ChunkList(ChangeList):
    """Pages that go on after the last row seen: no count, and no offset that gets slower.

    Of one run in its order; of all runs the newest first. Both follow an index.
    """

    @property
    def run_pk(self) -> str | None:
        return self.params.get("run__id__exact")

    def get_queryset(self, request, **kwargs):
        chunks = super().get_queryset(request, **kwargs)
        if not self.run_pk:
            return chunks
        # Only the key has an index.
        after = int(self.params.get("seq__gt") or int(self.params.get("seq__gte") or 1) - 1)
        return chunks & Chunk.objects.of(int(self.run_pk), max(after, 0))

    def get_ordering(self, request, queryset):
        return ["id"] if self.run_pk else ["-id"]

    def get_results(self, request):
        rows = list(self.queryset[: self.list_per_page + 1])
        self.result_list = rows[: self.list_per_page]
        self.result_count = len(self.result_list)
        self.next_page = self._next_page() if len(rows) > self.list_per_page else None
        self.first_page = self.get_query_string(remove=["seq__", "id__"])
        self.of_run = self.run_pk and Run.objects.filter(pk=self.run_pk).defer("program").first()
        self.full_result_count = self.paginator = None
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = False

    def _next_page(self) -> str:
        last = self.result_list[-1]
        after = {"seq__gt": last.seq} if self.run_pk else {"id__lt": last.pk}
        return self.get_query_string(after, remove=["seq__", "id__"])


@admin.register(Chunk)
class ChunkAdmin(ReadOnlyAdmin):
    list_display = ("number", "of_run", "seconds", "line", "stream", "task", "beginning")
    fields = ("of_run", "seq", "seconds", "line", "stream", "task", "whole_text", "parsed_data")
    sortable_by = ()
    actions = None
    list_per_page = 100
    # What an index serves; anything else would look through every chunk there is.
    lookups = frozenset({"run__id__exact", "seq__gt", "seq__gte", "id__lt"})

    def get_changelist(self, request, **kwargs):
        return ChunkList

    def lookup_allowed(self, lookup, value, request):
        return lookup in self.lookups

    def get_queryset(self, request):
        # Fetched apart: joined, a planner may begin at the runs and sort every chunk.
        runs = Run.objects.only("title", "public_id")
        chunks = super().get_queryset(request).prefetch_related(Prefetch("run", runs))
        return chunks.defer("text", "data").annotate(text_begins=Left("text", BEGINNING))

    @admin.display(description="seq")
    def number(self, chunk):
        return chunk.seq

    @admin.display(description="run")
    def of_run(self, chunk):
        url = reverse("admin:runs_run_change", args=[chunk.run_id])
        return format_html('<a href="{}">{}</a>', url, chunk.run.title)

    @admin.display(description="time")
    def seconds(self, chunk):
        return f"{chunk.t / 1e6:,.3f} s"

    @admin.display(description="text")
    def beginning(self, chunk):
        return format_html('<code class="text">{}</code>', chunk.text_begins)

    @admin.display(description="text")
    def whole_text(self, chunk):
        return format_html('<pre class="text">{}</pre>', chunk.text)

    @admin.display(description="data")
    def parsed_data(self, chunk):
        if chunk.data is None:
            return None
        try:
            text = orjson.dumps(orjson.loads(chunk.data), option=orjson.OPT_INDENT_2).decode()
        except ValueError:
            # Deeper or larger than this reader goes; as it is stored, then.
            text = chunk.data
        return format_html('<pre class="text">{}</pre>', text)


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
            [f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@") else cell for cell in row]
        )
        yield line.getvalue()
        line.seek(0)
        line.truncate()


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


def page_url(run: Run) -> str:
    return f"/runs/{run.public_id}/"


def chunks_url(run: Run) -> str:
    return f"{reverse('admin:runs_chunk_changelist')}?run__id__exact={run.pk}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
