"""What people may use: limits, set by administrators."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one user may use; None: as much as they want."""

    runs_at_once: int | None = None
    launches_per_hour: int | None = None
    output_bytes_per_day: int | None = None
    stored_bytes: int | None = None

    @property
    def is_limited(self) -> bool:
        return self != Allowed()


NAMES = tuple(Allowed.__dataclass_fields__)


class LimitQuerySet(models.QuerySet):
    def of(self, users: Iterable[int]) -> dict[int, Allowed]:
        """What each of these users may use, by their keys, in one query.

        Each limit by itself: what is said of the user counts, else the most generous of
        what is said of their groups, else what is said of everybody.
        """
        users = list(users)
        said = list(
            self.filter(
                Q(user__in=users) | Q(group__user__in=users) | Q(user=None, group=None)
            ).values_list("user", "group", "group__user", *NAMES)
        )
        everybody = [values for user, group, _, *values in said if user is None and group is None]
        allowed = {}
        for pk in users:
            own = [values for user, _, _, *values in said if user == pk]
            theirs = [values for _, group, member, *values in said if group and member == pk]
            levels = map(_most_generous, (own, theirs, everybody))
            allowed[pk] = Allowed(*map(_first_said, *levels))
        return allowed

    def speak_of_output(self) -> bool:
        """Whether anybody's output is limited."""
        return self.exclude(output_bytes_per_day=None, stored_bytes=None).exists()


def _most_generous(said: list[list[int | None]]) -> list[int | None]:
    columns = zip(*said, strict=True) if said else [()] * len(NAMES)
    return [max((n for n in column if n is not None), default=None) for column in columns]


def _first_said(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def _most(label: str, help_text: str):
    return models.PositiveBigIntegerField(label, null=True, blank=True, help_text=help_text)


class Limit(models.Model):
    """What a user, each member of a group, or everybody may use at most.

    Superusers are limited as everybody is: an account that fell into wrong hands must not
    be a way around it, and whoever may set limits can set their own.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE,
        related_name="limits", help_text="What is said here counts before what groups say.",
    )  # fmt: skip
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="limits",
        help_text="For each member by themselves; of several groups the most generous counts. "
        "With neither user nor group it is for everybody of whom nothing else is said.",
    )  # fmt: skip
    runs_at_once = _most(
        "runs at once", "Queued ones count. Empty: not said here; said nowhere is unlimited."
    )
    launches_per_hour = _most("launches per hour", "In the last 60 minutes.")
    output_bytes_per_day = _most(
        "output bytes per day",
        "In the last 24 hours. Runs that print beyond it are ended.",
    )
    stored_bytes = _most("stored bytes", "Of output that is kept. 1,073,741,824 bytes are 1 GiB.")

    objects = LimitQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user=None) | Q(group=None),
                name="limit_of_user_or_group",
                violation_error_message="Choose a user or a group, not both.",
            ),
            models.UniqueConstraint(
                Coalesce("user", 0),
                Coalesce("group", 0),
                name="limit_once",
                violation_error_message="There is a limit of this already. Change that one.",
            ),
        ]

    def __str__(self):
        if self.user_id is not None:
            return f"limits of {self.user}"
        if self.group_id is not None:
            return f"limits of the group {self.group}"
        return "limits of everybody"
