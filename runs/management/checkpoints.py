"""Files of `checkpoint`: what was recorded by a day, signed, to be kept out of our reach.

A line of JSON for each run that ended on the day, then one about the day itself, with the
number and the digest of its access events; its signature is over all that stands before it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.core.management.base import CommandError

from .. import access, signing
from ..models import ACTIVE, Deletion, Run

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    day: str
    runs: dict[str, dict]
    access: dict

    def has_its_events(self) -> bool:
        """Whether its day's access events are those that were there."""
        return access_on(midnight(self.day), self.access["last"]) == self.access


def lines_of(day: datetime) -> list[str]:
    """The file's lines for the day that begins then."""
    lines = [json.dumps(head) for head in heads(day).values()]
    about = {"day": f"{day:%Y-%m-%d}", "runs": len(lines), "access": access_on(day)}
    return [*lines, json.dumps(about | {"signature": signing.sign(_signed(lines, about))})]


def access_on(day: datetime, last: int | None = None) -> dict:
    """How many access events the day has, up to the one with key `last`, and their digest."""
    last = access.last_key() if last is None else last
    count, digest = access.digest_between(day, day + DAY, last)
    return {"last": last, "events": count, "sha256": digest}


def heads(day: datetime) -> dict[str, dict]:
    """What a day's runs ended with, by their ids; of those that were deleted since, too."""
    names = ("public_id", "last_seq", "chain", "signature")
    during = {"finished_at__gte": day, "finished_at__lt": day + DAY}
    ended = Run.objects.exclude(status__in=ACTIVE).filter(**during).order_by("pk")
    deleted = Deletion.objects.filter(**during, what=Deletion.RECORD).order_by("pk")
    # Runs last: one that is being deleted is in both.
    rows = [*_rows(deleted, names), *_rows(ended, names)]
    return {row[0]: dict(zip(("id", *names[1:]), row, strict=True)) for row in rows}


def read(path: str) -> Checkpoint:
    """Raises CommandError if it is none of ours or was changed."""
    try:
        with open(path, encoding="utf-8") as file:
            *lines, last = file.read().splitlines()
        about = json.loads(last)
        signature = about.pop("signature")
        is_ours = signing.is_signed(_signed(lines, about), signature)
        runs = {line["id"]: line for line in map(json.loads, lines)}
        checkpoint = Checkpoint(about["day"], runs, about["access"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{path} is no checkpoint that can be read: {error}") from None
    if not is_ours:
        raise CommandError(f"{path} was changed, or signed by a key that is not ours.")
    return checkpoint


def midnight(day: str | None) -> datetime:
    """Where a day of UTC begins, yesterday if none is given. Raises CommandError."""
    try:
        chosen = date.fromisoformat(day) if day else datetime.now(UTC).date() - DAY
    except ValueError:
        raise CommandError(f"{day!r} is no day. Give it as 2026-01-31.") from None
    return datetime.combine(chosen, time(), UTC)


def _signed(lines: list[str], about: dict) -> bytes:
    return "\n".join([*lines, json.dumps(about)]).encode()


def _rows(found, names) -> Iterator[tuple]:
    return found.values_list(*names).iterator()
