"""Which runs a list shows: filters, search and the cursor to the next page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from ..kinds import KINDS
from ..models import ACTIVE, Run, Status

CURSOR_SALT = "runs.listing"


class InvalidFilter(Exception):
    """A filter that cannot be applied; a sentence for people."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What was asked for, as text; `active` stands for every status that is not final."""

    status: str = ""
    kind: str = ""
    owner: str = ""
    q: str = ""
    created_after: str = ""
    created_before: str = ""

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> "RunFilter":
        return cls(**{name: params.get(name, "").strip() for name in cls.__dataclass_fields__})

    @property
    def given(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value}

    def query(self, **more: str) -> str:
        return urlencode(self.given | more)

    def apply(self, runs: QuerySet) -> QuerySet:
        """The runs that fit. Raises InvalidFilter."""
        if "\0" in "".join(self.given.values()):
            raise InvalidFilter("A filter contains a NUL byte. Remove it.")
        if self.status:
            runs = runs.filter(status__in=_one_of("status", self.status, _STATUSES))
        if self.kind:
            runs = runs.filter(kind__in=_one_of("kind", self.kind, {k: (k,) for k in KINDS}))
        if self.owner:
            runs = runs.filter(owner_name=self.owner)
        if self.q:
            runs = runs.filter(
                Q(title__icontains=self.q)
                | Q(last_line__icontains=self.q)
                | Q(error__icontains=self.q)
                | Q(public_id=self.q)
            )
        if self.created_after:
            runs = runs.filter(created_at__gte=_moment(self.created_after))
        if self.created_before:
            runs = runs.filter(created_at__lt=_moment(self.created_before, whole_day=True))
        return runs


_STATUSES = {"active": ACTIVE} | {value: (value,) for value in Status.values}


def page_of(runs: QuerySet, limit: int, cursor: str = "") -> tuple[list[Run], str]:
    """The newest `limit` runs behind a cursor, and the cursor behind them ("" at the end).

    Raises InvalidFilter.
    """
    if cursor:
        try:
            runs = runs.filter(pk__lt=signing.loads(cursor, salt=CURSOR_SALT))
        except signing.BadSignature:
            raise InvalidFilter("This page of the list is not known. Begin at its first.") from None
    found = list(runs.order_by("-pk")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return found, signing.dumps(found[-1].pk, salt=CURSOR_SALT) if more else ""


def _one_of(what: str, value: str, known: Mapping):
    if value not in known:
        raise InvalidFilter(f"Unknown {what}. Use one of {', '.join(known)}.")
    return known[value]


def _moment(text: str, whole_day: bool = False) -> datetime:
    """A timestamp, or midnight UTC of a date; with `whole_day` the midnight after it."""
    try:
        if day := parse_date(text):
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return midnight + timedelta(days=1) if whole_day else midnight
        # A + in an address is read as a blank.
        moment = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise InvalidFilter("A date must look like 2025-06-30 or 2025-06-30T14:00:00Z.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
