from django.contrib.auth import get_user_model
from django.contrib.auth.management.commands import createsuperuser

from ...access import Action, note
from ..terminal import system_user


class Command(createsuperuser.Command):
    """Django's, and what it did is noted."""

    def handle(self, *args, **options):
        users = get_user_model().objects.order_by("pk")
        known = users.values_list("pk", flat=True).last() or 0
        said = super().handle(*args, **options)
        for user in users.filter(pk__gt=known, is_superuser=True):
            told = {"by": "createsuperuser", "system_user": system_user()}
            note(Action.ADMIN_ADD, subject=user.get_username(), what="user", **told)
        return said
