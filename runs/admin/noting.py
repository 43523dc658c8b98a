"""What is changed in the admin is an access event, beside Django's own log of it."""

from django.contrib import admin
from django.forms import ModelChoiceField, ModelMultipleChoiceField

from ..access import Action, address_of, note


class NotingAdmin(admin.ModelAdmin):
    """Notes what is added, changed and deleted here, with the values before and after."""

    def construct_change_message(self, request, form, formsets, add=False):
        # The one place that has the form of whatever is logged next.
        request.noted_changes = changes_of(form)
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request, obj, message):
        self._note(Action.ADMIN_ADD, request, obj, request.noted_changes)
        return super().log_addition(request, obj, message)

    def log_change(self, request, obj, message):
        # Nothing, if somebody pressed Save and had changed nothing.
        if changes := request.noted_changes:
            action = Action.PASSWORD if set(changes) == {"password"} else Action.ADMIN_CHANGE
            self._note(action, request, obj, changes)
        return super().log_change(request, obj, message)

    def log_deletions(self, request, queryset):
        for obj in queryset:
            self._note(Action.ADMIN_DELETE, request, obj, {})
        return super().log_deletions(request, queryset)

    def _note(self, action: Action, request, obj, changes: dict) -> None:
        detail = {"what": self.opts.model_name, "by": "admin"}
        if changes:
            detail["changes"] = changes
        note(action, request.user, address_of(request), subject=str(obj), **detail)


def changes_of(form) -> dict:
    """{field: [before, after]}, of several {"added", "removed"}; no password, not even hashed."""
    changes = {}
    for name in form.changed_data:
        if "password" in name:
            changes["password"] = "changed"
            continue
        field, before, after = form.fields[name], form.initial.get(name), form.cleaned_data[name]
        if isinstance(field, ModelMultipleChoiceField):
            before, after = ({str(item) for item in items or ()} for items in (before, after))
            changes[name] = {"added": sorted(after - before), "removed": sorted(before - after)}
        else:
            if isinstance(field, ModelChoiceField) and before is not None:
                before = field.queryset.filter(pk=before).first()
            changes[name] = [_plain(before), _plain(after)]
    return changes


def _plain(value):
    return value if value is None or isinstance(value, bool | int) else str(value)[:200]
