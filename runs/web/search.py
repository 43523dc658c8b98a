"""Finding runs, by what they are and by what they printed, for the API and the list page."""

import json
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from ..models import STREAM_CODES, Run
from ..streaming.needles import needle
from ..streaming.scanning import Hit
from ..streaming.searching import Search, search_after
from .lines import LINE_LENGTH, clean, visible

# Of each run so many lines are shown; all of them are a click away.
HITS = 3
# Runs are read so many at a time.
PAGE = 50
_CURSOR = re.compile(r"(\d{1,18})\.(\d{1,18})", re.ASCII)


def matching(
    found: QuerySet,
    *,
    status=(),
    kind=(),
    owner: str | None = None,
    q: str | None = None,
    created_after=None,
    created_before=None,
) -> QuerySet:
    """Narrow a query of runs; what is empty or None narrows nothing.

    `status` and `kind` are lists, `owner` a user name, `q` words to look for;
    `created_after` includes its moment, `created_before` does not.
    """
    exact = {
        "status__in": list(status),
        "kind__in": list(kind),
        "owner_name": owner,
        "created_at__gte": created_after,
        "created_at__lt": created_before,
    }
    found = found.filter(**{name: value for name, value in exact.items() if value})
    return with_words(found, q) if q else found


def with_words(found: QuerySet, words: str) -> QuerySet:
    """Runs with `words` in title, program or last line, in any case."""
    # The program is stored as JSON, so the words have to be written like that too:
    # with other letters escaped, as SQLite keeps them, or not, as PostgreSQL does.
    escaped, as_json = (json.dumps(words, ensure_ascii=e)[1:-1] for e in (True, False))
    return found.annotate(program_text=Cast("program", TextField())).filter(
        Q(title__icontains=words)
        | Q(last_line__icontains=words)
        | Q(program_text__icontains=escaped)
        | Q(program_text__icontains=as_json)
    )


# --- by what they printed ------------------------------------------------------


def search_for(
    words: str,
    match_case: bool = False,
    is_pattern: bool = False,
    streams: Collection[str] = (),
    task: int | None = None,
) -> Search:
    """A search in lines as they are seen. `streams` by name. Raises needles.BadNeedle."""
    codes = frozenset(STREAM_CODES[name] for name in streams)
    return Search(needle(words, match_case, is_pattern), shown, codes, task)


def shown(line: str) -> str:
    """A line as it is seen, all of it: drawn is only the beginning of a long one."""
    if len(line) <= LINE_LENGTH:
        return clean(line)
    return visible(line.rstrip("\r").rpartition("\r")[2])


@dataclass(frozen=True, slots=True)
class Found:
    """A run whose output holds what was looked for: its first lines that do, and whether
    there may be more of them."""

    run: Run
    hits: list[Hit]
    more: bool


def search_output(
    runs: QuerySet, search: Search, limit: int, seconds: float, cursor: str = ""
) -> tuple[list[Found], str, int]:
    """(runs that fit, newest first; the cursor to go on with, "" at the end; how many were
    looked at). Ends after `limit` finds or about so many seconds, if need be inside a run.

    Raises ValueError for an unknown cursor.
    """
    newest, after = _parse_cursor(cursor)
    if newest is not None:
        runs = runs.filter(pk__lte=newest)
    deadline = time.monotonic() + seconds
    found: list[Found] = []
    examined = 0
    for run in _newest_first(runs.exclude(last_seq=0)):
        if len(found) == limit or (examined and time.monotonic() >= deadline):
            return found, f"{run.pk}.0", examined
        examined += 1
        place = after if run.pk == newest else 0
        while place is not None:
            page = search_after(run.pk, place, search, HITS + 1)
            place = page.next
            if page.hits:
                more = len(page.hits) > HITS or place is not None
                found.append(Found(run, page.hits[:HITS], more))
                break
            if place is not None and time.monotonic() >= deadline:
                return found, f"{run.pk}.{place}", examined
    return found, "", examined


def _newest_first(runs: QuerySet) -> Iterator[Run]:
    """Read as they are needed. Not by iterator(): outside of a transaction PostgreSQL
    then writes all of them down before it gives the first."""
    page = list(runs.order_by("-pk")[:PAGE])
    while page:
        yield from page
        page = list(runs.filter(pk__lt=page[-1].pk).order_by("-pk")[:PAGE])


def _parse_cursor(cursor: str) -> tuple[int | None, int]:
    if not cursor:
        return None, 0
    parts = _CURSOR.fullmatch(cursor)
    if not parts:
        raise ValueError("Unknown cursor. Use `next` of the page before, or start without one.")
    return int(parts[1]), int(parts[2])
