"""Chunks, of one run or of all."""

import orjson
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Prefetch
from django.db.models.functions import Left
from django.urls import reverse
from django.utils.html import format_html

from ..access import Action, address_of, note_once
from ..models import Chunk, Run
from .base import ReadOnlyAdmin

# A list shows the beginning of a text; a chunk may hold a megabyte of it.
BEGINNING = 160


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

    def changelist_view(self, request, extra_context=None):
        response = super().changelist_view(request, extra_context)
        if found := getattr(response, "context_data", {}).get("cl"):
            # Of all runs' chunks: who saw them, and of which runs.
            runs = {chunk.run_id: chunk.run for chunk in found.result_list}
            for run in runs.values():
                note_once(Action.VIEW, request.user, address_of(request), run, by="admin")
        return response

    def render_change_form(self, request, context, obj=None, **kwargs):
        note_once(Action.VIEW, request.user, address_of(request), obj.run, by="admin", to=obj.seq)
        return super().render_change_form(request, context, obj=obj, **kwargs)

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
