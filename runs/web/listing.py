"""Which runs a list shows: filters, search and the cursor to the next page."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from ..kinds import KINDS
from ..models import ACTIVE, Run, Status
from ..streaming.needles import BadNeedle
from .search import Found, matching, search_for, search_output

# A page of what is found in output; it waits no longer than this.
FOUND, SECONDS = 20, 0.5
_CURSOR = re.compile(r"\d{1,18}", re.ASCII)


class InvalidFilter(Exception):
    """A filter that cannot be applied; a sentence for people."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What was asked for, as text; `active` stands for every status that is not final.

    With `output`, `q` is looked for in what runs printed and not in what they are.
    """

    status: str = ""
    kind: str = ""
    owner: str = ""
    q: str = ""
    output: str = ""
    created_after: str = ""
    created_before: str = ""

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> "RunFilter":
        return cls(**{name: params.get(name, "").strip() for name in cls.__dataclass_fields__})

    @property
    def given(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def in_output(self) -> bool:
        return bool(self.output and self.q)

    def query(self, **more: str) -> str:
        return urlencode(self.given | more)

    def apply(self, runs: QuerySet) -> QuerySet:
        """The runs that fit. Raises InvalidFilter."""
        if "\0" in "".join(self.given.values()):
            raise InvalidFilter("A filter contains a NUL byte. Remove it.")
        return matching(
            runs,
            status=_one_of("status", self.status, _STATUSES),
            kind=_one_of("kind", self.kind, _KINDS),
            owner=self.owner,
            q="" if self.in_output else self.q,
            created_after=_moment(self.created_after),
            created_before=_moment(self.created_before, whole_day=True),
        )


_STATUSES = {"active": ACTIVE} | {value: (value,) for value in Status.values}
_KINDS = {name: (name,) for name in KINDS}


def page_of(runs: QuerySet, limit: int, cursor: str = "") -> tuple[list[Run], str]:
    """The newest `limit` runs behind a cursor, and the cursor behind them ("" at the end).

    Raises InvalidFilter.
    """
    if cursor:
        if not _CURSOR.fullmatch(cursor):
            raise InvalidFilter("This page of the list is not known. Begin at its first.")
        runs = runs.filter(pk__lt=int(cursor))
    # A list shows no programs, which may be large.
    found = list(runs.defer("program").order_by("-pk")[: limit + 1])
    more = len(found) > limit
    return found[:limit], str(found[limit - 1].pk) if more else ""


def found_in(runs: QuerySet, words: str, cursor: str = "") -> tuple[list[Found], str, int]:
    """The newest runs that printed `words`, as search_output() gives them.

    Raises InvalidFilter.
    """
    try:
        search = search_for(words)
        return search_output(runs.defer("program"), search, FOUND, SECONDS, cursor)
    except (BadNeedle, ValueError) as error:
        raise InvalidFilter(str(error)) from None


def _one_of(what: str, value: str, known: Mapping):
    if value and value not in known:
        raise InvalidFilter(f"Unknown {what}. Use one of {', '.join(known)}.")
    return known.get(value, ())


def _moment(text: str, whole_day: bool = False) -> datetime | None:
    """A timestamp, or midnight UTC of a date; with `whole_day` the midnight after it."""
    if not text:
        return None
    try:
        if day := parse_date(text):
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return midnight + timedelta(days=1) if whole_day else midnight
        # A + in an address is read as a blank.
        moment = parse_datetime(text.replace(" ", "+") if "T" in text else text)
        if moment and moment.tzinfo:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise InvalidFilter("A date must look like 2025-06-30 or 2025-06-30T14:00:00Z.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
