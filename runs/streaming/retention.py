"""What is due by the rules, and deleting it while runs are recorded."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.db.models import BooleanField, Exists, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from ..access import AccessEvent, Action, add
from ..models import ACTIVE, Deletion, Hold, RetentionRule, Run
from ..models.standing import kept_bytes
from . import database
from .deletion import Refused, decide, steps
from .forgetting import forget_access

log = logging.getLogger(__name__)

# Whatever goes on by itself is done in this name.
BY = "retention"
# So that SQLite does not take the owners' index, which fits nearly every run.
HAS_OWNER = RawSQL("(owner_id IS NOT NULL) = %s", (True,), output_field=BooleanField())
PASS = 500
# A rule may keep for longer than dates go back; it is kept for so long, then.
MOST_DAYS = 365_000
# Pages of SQLite's that are given back in one step.
PAGES = 256


@dataclass(frozen=True)
class Due:
    """Runs whose output or record is to be deleted, and by which rule."""

    what: str
    rule: str
    days: int
    runs: QuerySet

    @property
    def reason(self) -> str:
        kept = "output" if self.what == Deletion.OUTPUT else "the record"
        return f"The rule for {self.rule} keeps {kept} for {days(self.days)}."

    @property
    def unheld(self) -> QuerySet:
        return self.runs.exclude(Exists(Hold.objects.of_outer_run()))


@dataclass
class Told:
    """How much it is, or was: runs, and bytes of output that are stored of them."""

    what: str
    rule: str
    days: int
    runs: int = 0
    bytes: int = 0
    held: int = 0


def days(number: int) -> str:
    return "1 day" if number == 1 else f"{number:,} days"


# --- what is due -------------------------------------------------------------------


def all_due() -> list[Due]:
    """Records first: what goes with them need not be deleted before."""
    rules = list(RetentionRule.objects.select_related("group").order_by("pk"))
    return [due for what in (Deletion.RECORD, Deletion.OUTPUT) for due in _due(rules, what)]


def _due(rules: list[RetentionRule], what: str) -> Iterator[Due]:
    for rule in rules:
        if number := rule.days(what):
            runs = _ended(what, number).filter(_ruled_by(rule, rules, what))
            yield Due(what, str(rule), number, runs)
    for kind, _ in RetentionRule._meta.get_field("kind").choices:
        if number := _longest(rules, kind, what):
            runs = _ended(what, number).filter(kind=kind, owner=None)
            yield Due(what, f"{kind} runs of deleted accounts", number, runs)


def _ended(what: str, number: int) -> QuerySet:
    """Runs that ended so many days ago and have what is to be deleted."""
    before = timezone.now() - timedelta(days=min(number, MOST_DAYS))
    runs = Run.objects.exclude(status__in=ACTIVE).filter(finished_at__lt=before)
    runs = runs.alias(has_owner=HAS_OWNER)
    if what == Deletion.OUTPUT:
        runs = runs.filter(output_deleted__isnull=True, last_seq__gt=0)
    return runs


def _ruled_by(rule: RetentionRule, rules: list[RetentionRule], what: str) -> Q:
    """The runs for which this rule is the one that holds; see RetentionRule."""
    runs = Q(has_owner=True) & _fits(rule)
    for other in rules:
        if other is not rule and _place(other, what) > _place(rule, what):
            runs &= ~_fits(other)
    return runs


def _fits(rule: RetentionRule) -> Q:
    runs = Q(kind=rule.kind) if rule.kind else Q()
    if rule.group_id:
        runs &= Q(owner__in=get_user_model().objects.filter(groups=rule.group_id).values("pk"))
    return runs if rule.kind or rule.group_id else Q(pk__isnull=False)


def _place(rule: RetentionRule, what: str) -> tuple:
    """Of the rules that fit a run the one with the highest holds."""
    number = rule.days(what)
    longest = float("inf") if number is None else number
    return rule.group_id is not None, bool(rule.kind), longest, -rule.pk


def _longest(rules: list[RetentionRule], kind: str, what: str) -> int | None:
    """For runs whose owner's groups nobody knows any more; None: for ever."""
    holding = {}
    for rule in rules:
        known = holding.get(rule.group_id)
        if rule.kind in ("", kind) and (known is None or rule.kind):
            holding[rule.group_id] = rule
    numbers = [rule.days(what) for rule in holding.values()]
    # Who is in no group with a rule goes by those for everybody.
    return None if None in numbers or None not in holding else max(numbers)


# --- telling of it -----------------------------------------------------------------


def forecast() -> list[Told]:
    """What retain() would delete now. Reads the database only."""
    counted: set[int] = set()
    found = []
    for due in all_due():
        told = Told(due.what, due.rule, due.days)
        told.held = due.runs.filter(Exists(Hold.objects.of_outer_run())).count()
        for run in _sizes(due.unheld):
            if run.pk not in counted:
                told.runs += 1
                told.bytes += stored_bytes(run)
                counted.add(run.pk)
        found.append(told)
    return [told for told in found if told.runs or told.held]


def _sizes(runs: QuerySet):
    return runs.only("output_bytes", "dropped", "output_deleted").iterator(chunk_size=2000)


def stored_bytes(run: Run) -> int:
    """What is stored of its output: not what the output cap dropped."""
    if run.output_deleted:
        return 0
    return kept_bytes(run.output_bytes, run.dropped)


# --- doing it ----------------------------------------------------------------------


async def retain(by: str = BY, tell: Callable[[Told], None] = lambda told: None) -> list[Told]:
    """Delete what is due, and finish what was begun before; what was deleted, by rule.

    Holds win, also those placed while it goes on. It may be cancelled or killed at any
    time and be done again, and done twice at once. `tell` hears of each part of it.
    """
    await _finish_begun()
    done = []
    for due in await database.read(all_due):
        told = Told(due.what, due.rule, due.days)
        while part := await _delete_pass(due, by):
            await database.write(_note, part, by)
            told.runs += part.runs
            told.bytes += part.bytes
            tell(told)
        if told.runs:
            done.append(told)
    if await forget_access(by) or done:
        await give_space_back()
    return done


async def _delete_pass(due: Due, by: str) -> Told | None:
    """Delete some of it; None when nothing more is, or can be, deleted."""
    part = Told(due.what, due.rule, due.days)
    for run in await database.read(_some, due):
        try:
            deletion = await database.write(decide, run, due.what, by, due.reason)
            await _carry_out(deletion)
        except Refused:
            continue  # somebody has placed a hold
        except OperationalError as error:
            log.warning("Run %s is not deleted this time: %s", run.public_id, error)
            continue
        part.runs += 1
        part.bytes += stored_bytes(run)
    return part if part.runs else None


def _some(due: Due) -> list[Run]:
    names = ("public_id", "output_bytes", "dropped", "output_deleted")
    return list(due.unheld.only(*names).order_by("finished_at")[:PASS])


async def _finish_begun() -> None:
    """Go on with what was decided and then interrupted, or kept by a hold since released."""
    for deletion in await database.read(_begun):
        try:
            await _carry_out(deletion)
        except Refused:
            continue
        except OperationalError as error:
            log.warning("Run %s is not deleted this time: %s", deletion.public_id, error)


def _begun() -> list[Deletion]:
    return list(Deletion.objects.filter(done_at=None).order_by("pk"))


async def _carry_out(deletion: Deletion) -> None:
    todo = steps(deletion)
    # On the thread that records, so that on SQLite nobody waits for a lock; the recorder
    # has at least every other turn.
    while (seconds := await database.write(next, todo, None)) is not None:
        await asyncio.sleep(seconds)


def _note(part: Told, by: str) -> None:
    detail = {"deleted": part.what, "runs": part.runs, "bytes": part.bytes, "days": part.days}
    event = AccessEvent(
        at=timezone.now(), action=Action.RETENTION, actor_name=by, subject=part.rule, detail=detail
    )
    add([event])


# --- space -------------------------------------------------------------------------


async def give_space_back() -> None:
    """Make SQLite's file smaller, step by step; PostgreSQL does it by itself."""
    while (seconds := await database.write(_give_some_back)) is not None:
        await asyncio.sleep(seconds)


def _give_some_back() -> float | None:
    """How many seconds it took; None when there is no more to give back."""
    if connection.vendor != "sqlite" or not _pragma("auto_vacuum"):
        return None
    began, before = time.monotonic(), _pragma("freelist_count")
    if before:
        # execute() would take the first step of it only.
        connection.connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")
    return time.monotonic() - began if 0 < _pragma("freelist_count") < before else None


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        return cursor.execute(f"PRAGMA {name}").fetchone()[0]


def rewrite() -> tuple[int, int]:
    """Write SQLite's file anew, as small as it can be: bytes before and after.

    Nothing can be recorded meanwhile. From then on space is given back bit by bit.
    """
    before = _pragma("page_count") * _pragma("page_size")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, _pragma("page_count") * _pragma("page_size")
