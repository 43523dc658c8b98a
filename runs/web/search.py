"""Finding runs: the filters that the API and the list page share."""

import json

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast


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
    # The program is stored as JSON, so the words have to be written like that too.
    as_json = json.dumps(words)[1:-1]
    return found.annotate(program_text=Cast("program", TextField())).filter(
        Q(title__icontains=words)
        | Q(last_line__icontains=words)
        | Q(program_text__icontains=as_json)
    )
