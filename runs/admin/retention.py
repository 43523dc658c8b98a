"""What is kept for how long, what must be kept, and what was deleted and why."""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html

from ..access import Action, address_of, note
from ..models import Deletion, Hold, RetentionRule, Run
from .base import ReadOnlyAdmin, run_link

WINDOWS = ("kind", "group", "output_days", "record_days")


class SuperusersAdmin(ReadOnlyAdmin):
    """What superusers decide; every change of it is noted."""

    def has_add_permission(self, request):
        return request.user.is_superuser and request.user.is_active


@admin.register(RetentionRule)
class RetentionRuleAdmin(SuperusersAdmin):
    list_display = ("__str__", "output", "record")
    list_filter = ("kind", "group")
    list_select_related = ("group",)
    fields = WINDOWS
    ordering = ("group", "kind")
    actions = None

    def has_change_permission(self, request, obj=None):
        return self.has_add_permission(request)

    def has_delete_permission(self, request, obj=None):
        return self.has_add_permission(request)

    @admin.display(description="output is kept", ordering="output_days")
    def output(self, rule):
        return kept(rule.days(Deletion.OUTPUT))

    @admin.display(description="record is kept", ordering="record_days")
    def record(self, rule):
        return kept(rule.days(Deletion.RECORD))

    def save_model(self, request, rule, form, change):
        before = RetentionRule.objects.filter(pk=rule.pk).first() if change else None
        super().save_model(request, rule, form, change)
        self._note(request, before, rule)

    def delete_model(self, request, rule):
        before = RetentionRule.objects.get(pk=rule.pk)
        super().delete_model(request, rule)
        self._note(request, before, None)

    def _note(self, request, before: RetentionRule | None, after: RetentionRule | None):
        detail = {"before": told_of(before), "after": told_of(after)}
        user, address = request.user, address_of(request)
        note(Action.RULE_CHANGED, user, address, subject=str(after or before), **detail)


def told_of(rule: RetentionRule | None) -> str:
    if rule is None:
        return "none"
    output, record = (kept(rule.days(what)) for what in (Deletion.OUTPUT, Deletion.RECORD))
    return f"{rule}: output {output}, record {record}"


def kept(days: int | None) -> str:
    return "for ever" if days is None else "1 day" if days == 1 else f"{days:,} days"


class PlaceHold(forms.ModelForm):
    """What to hold: a run by its id, or a user."""

    run_public_id = forms.CharField(
        label="Run", required=False, max_length=40, widget=AdminTextInputWidget,
        help_text="Its id, as in its page's address.",
    )  # fmt: skip

    class Meta:
        model = Hold
        fields = ("run_public_id", "user", "reason")

    def clean_run_public_id(self):
        run_id = self.cleaned_data["run_public_id"].strip()
        if not run_id:
            return ""
        # Locked until the hold stands: it is not deleted in this moment.
        self.instance.run = Run.objects.select_for_update().filter(public_id=run_id).first()
        if self.instance.run is None:
            deletion = Deletion.objects.filter(public_id=run_id).last()
            raise ValidationError(deletion.sentence if deletion else "There is no run of this id.")
        return run_id


class ReleaseHold(forms.ModelForm):
    release_reason = forms.CharField(
        label="Reason to release it", max_length=300, widget=AdminTextInputWidget,
        help_text="Saved with it, the hold is released; what is due may then be deleted.",
    )  # fmt: skip

    class Meta:
        model = Hold
        fields = ("release_reason",)


@admin.register(Hold)
class HoldAdmin(SuperusersAdmin):
    list_display = ("__str__", "is_active", "reason", "placed_at", "placed_by", "released_at")
    list_filter = (("released_at", admin.EmptyFieldListFilter), "placed_at")
    search_fields = ("run_public_id", "user_name", "reason", "placed_by", "released_by")
    ordering = ("-id",)
    autocomplete_fields = ("user",)
    told = (
        "held_run", "user_name", "reason", "placed_at", "placed_by",
        "released_at", "released_by", "release_reason",
    )  # fmt: skip

    def has_change_permission(self, request, obj=None):
        # Releasing it is the one change there is.
        return self.has_add_permission(request) and (obj is None or obj.released_at is None)

    def has_delete_permission(self, request, obj=None):
        # Never. But asked by the page that deletes a user, "yes" lets that page name the
        # hold that is in its way.
        page = (request.resolver_match and request.resolver_match.url_name) or ""
        return request.user.is_superuser and not page.startswith("runs_hold_")

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = ReleaseHold if obj and obj.released_at is None else PlaceHold
        return super().get_form(request, obj, change=change, **kwargs | {"form": form})

    def get_fields(self, request, obj=None):
        return self.told if obj else PlaceHold.Meta.fields

    def get_readonly_fields(self, request, obj=None):
        if obj is None:
            return ()
        return self.told[:-1] if self.has_change_permission(request, obj) else self.told

    def get_changeform_initial_data(self, request):
        return {"run_public_id": request.GET.get("run", "")}

    @admin.display(description="active", boolean=True, ordering="released_at")
    def is_active(self, hold):
        return hold.released_at is None

    @admin.display(description="run")
    def held_run(self, hold):
        return run_link(hold.run_public_id)

    def save_model(self, request, hold, form, change):
        name = request.user.get_username()
        if change:
            released = hold.release(name, hold.release_reason)
            action = Action.HOLD_RELEASED if released else None
        else:
            hold.placed_by = name
            hold.save()
            action = Action.HOLD_PLACED
            if hold.run and hold.run.output_deleted:
                text = f"{hold.run.output_deletion} What is left of it stays."
                self.message_user(request, text, messages.WARNING)
        if action:
            reason = hold.release_reason or hold.reason
            address = address_of(request)
            note(action, request.user, address, hold.run, subject=str(hold), reason=reason)


@admin.register(Deletion)
class DeletionAdmin(ReadOnlyAdmin):
    """What was deleted, when, by whom and why."""

    list_display = ("at", "title", "owner_name", "what", "by", "reason")
    list_display_links = ("at", "title")
    list_filter = (
        "what", "kind", "status", ("done_at", admin.EmptyFieldListFilter), "by",
    )  # fmt: skip
    search_fields = ("title", "owner_name", "public_id", "by", "reason")
    search_help_text = "Searches titles, owners, ids, who deleted it and why."
    date_hierarchy = "at"
    ordering = ("-id",)
    list_per_page = 50
    fieldsets = (
        (None, {"fields": ("what", "at", "by", "reason", "done_at")}),
        ("The run", {"fields": (
            "run", "title", "kind", "owner_name", "status", "exit_code",
            "created_at", "started_at", "finished_at",
        )}),
        ("Its output", {"fields": ("last_seq", "line_count", "size", "dropped")}),
        ("Proof", {"fields": (
            "genuine", "program_sha256", "chain", "signature", "run_statement", "own_signature",
        )}),
    )  # fmt: skip

    @admin.display(description="bytes", ordering="output_bytes")
    def size(self, deletion):
        return filesizeformat(deletion.output_bytes)

    @admin.display(description="run")
    def run(self, deletion):
        return run_link(deletion.public_id)

    @admin.display(description="genuine", boolean=True)
    def genuine(self, deletion):
        """Whether it is a deletion that this site made, and the record what it had signed."""
        return deletion.is_ours() and (not deletion.signature or deletion.is_signed())

    @admin.display(description="what the run's signature is of")
    def run_statement(self, deletion):
        text = deletion.run_statement().decode("utf-8", "replace")
        return format_html('<code class="text">{}</code>', text)

    @admin.display(description="signature of the deletion")
    def own_signature(self, deletion):
        return format_html('<code class="text">{}</code>', deletion.proof)
