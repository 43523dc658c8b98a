from django.contrib.auth.management.commands import changepassword

from ...access import Action, note
from ..terminal import system_user


class Command(changepassword.Command):
    """Django's, and what it did is noted."""

    def handle(self, *args, **options):
        said = super().handle(*args, **options)
        name, told = options["username"] or system_user(), {"by": "changepassword"}
        note(Action.PASSWORD, subject=name, what="user", **told, system_user=system_user())
        return said
