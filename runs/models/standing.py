"""How people stand with their limits, and who is refused for them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat

from .limits import NAMES, Allowed, Limit
from .status import IS_ACTIVE
from .usage import DAY, HOUR, Usage, database_now

LABELS = {
    "runs_at_once": "Runs at once",
    "launches_per_hour": "Launches per hour",
    "output_bytes_per_day": "Output per day",
    "stored_bytes": "Stored output",
}


class LimitReached(Exception):
    """A limit lets nothing more be launched. The message is a sentence that says which,
    and when there is room; `retry_seconds` is None where waiting alone does not help."""

    def __init__(self, standing: "Standing", now: datetime):
        super().__init__(standing.sentence())
        self.name = standing.name
        at = standing.room_at
        # Rounded up: whoever comes back then must find room.
        self.retry_seconds = at and max(1, -int(-(at - now).total_seconds() // 1))


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit and how much of it is used. `room_at` is known only if it is used up."""

    name: str
    most: int | None
    used: int
    room_at: datetime | None = None

    @property
    def is_reached(self) -> bool:
        return self.most is not None and self.used >= self.most

    @property
    def label(self) -> str:
        return LABELS[self.name]

    @property
    def is_bytes(self) -> bool:
        return "bytes" in self.name

    @property
    def way_out(self) -> str:
        """What gives room where nobody knows when."""
        if self.most == 0:
            return "ask an administrator"
        return "when runs are deleted" if self.name == "stored_bytes" else "when a run ends"

    def sentence(self) -> str:
        """Which limit it is, how much of it is used, and when there is room again."""
        if self.most == 0:
            limit = self.label.lower()
            return f"Your limit of {limit} is 0, so nothing may run. Ask an administrator."
        shown = filesizeformat if self.is_bytes else "{:,}".format
        used, most = shown(self.used), shown(self.most)
        at = self.room_at and f"{self.room_at:%Y-%m-%d %H:%M:%S} UTC"
        match self.name:
            case "runs_at_once":
                latest = f", at the latest at {at}" if at else ""
                return (
                    f"{used} of {most} runs that you may have at once go on or wait. There is "
                    f"room when one of them ends{latest}; or cancel one."
                )
            case "launches_per_hour":
                return (
                    f"You have launched {used} of {most} runs in the last hour. "
                    f"There is room again at {at}."
                )
            case "output_bytes_per_day":
                return (
                    f"Your runs have printed {used} in the last 24 hours, and {most} is your "
                    f"limit. There is room again at {at}."
                )
        return (
            f"{used} of output is kept of your runs, and {most} is your limit. "
            "Delete runs that you do not need any more."
        )


class Look:
    """One look at how a user stands; what is asked for is read, and nothing else."""

    def __init__(self, owner: int, allowed: Allowed, runs, now: datetime):
        self._owner, self._allowed, self._now = owner, allowed, now
        self._runs = runs.filter(owner=owner)
        self._active = None

    def at(self, name: str) -> Standing:
        return getattr(self, f"_{name}")(getattr(self._allowed, name))

    def _runs_at_once(self, most: int | None) -> Standing:
        used = len(self.active)
        room_at = None
        if most and used >= most:
            # So many of them have to end; of those that wait nobody knows when they begin.
            ends = sorted(
                run["started_at"] + timedelta(seconds=run["timeout"])
                for run in self.active
                if run["timeout"] and run["started_at"]
            )
            room_at = ends[used - most] if used - most < len(ends) else None
        return Standing("runs_at_once", most, used, room_at)

    def _launches_per_hour(self, most: int | None) -> Standing:
        return self._counted("launches_per_hour", "launches", HOUR, most)

    def _output_bytes_per_day(self, most: int | None) -> Standing:
        pending = sum(run["output_bytes"] - (run["output_counted"] or 0) for run in self.active)
        return self._counted("output_bytes_per_day", "output_bytes", DAY, most, pending)

    def _counted(self, name: str, what: str, seconds: int, most: int | None, pending: int = 0):
        used = Usage.objects.used(self._owner, what, seconds, self._now) + pending
        room_at = None
        if most and used >= most:
            room_at = Usage.objects.room_at(self._owner, what, seconds, self._now, most, pending)
        return Standing(name, most, used, room_at)

    def _stored_bytes(self, most: int | None) -> Standing:
        ended = self._runs.aggregate(sum=Sum("stored_bytes"))["sum"] or 0
        going = sum(kept_bytes(run["output_bytes"], run["dropped"]) for run in self.active)
        return Standing("stored_bytes", most, ended + going)

    @property
    def active(self) -> list[dict]:
        if self._active is None:
            names = (
                "timeout", "started_at", "output_bytes", "output_counted", "dropped",
            )  # fmt: skip
            self._active = list(self._runs.filter(IS_ACTIVE).values(*names))
        return self._active


def kept_bytes(printed: int, dropped: dict | None) -> int:
    return printed - (dropped["bytes"] if dropped else 0)


def standings_of(user, runs) -> list[Standing]:
    """How a user stands with each limit, whether there is one or not."""
    look = Look(user.pk, Limit.objects.of([user.pk])[user.pk], runs, database_now())
    return [look.at(name) for name in NAMES]


def check_limits(user, runs) -> None:
    """Raises LimitReached if a user may not launch now.

    In the transaction that inserts the run. Nobody else launches for this user until it
    ends, so that of many at once exactly as many go through as there is room for.
    """
    allowed = Limit.objects.of([user.pk])[user.pk]
    if not allowed.is_limited:
        return
    # On SQLite the transaction itself has locked out every other writer.
    locked = get_user_model().objects.select_for_update(no_key=True).filter(pk=user.pk)
    locked.values_list("pk").first()
    now = database_now()
    look = Look(user.pk, allowed, runs, now)
    for name in NAMES:
        # Refused and not queued: who launches learns at once, and a queue without an end
        # would be no limit. How many of all that are queued run is STREAMSITE_MAX_RUNS.
        if getattr(allowed, name) is not None and (standing := look.at(name)).is_reached:
            raise LimitReached(standing, now)


def over_output_limits(owners, runs) -> dict[int, Standing]:
    """Whose runs may print nothing more, and why; by the owners' keys."""
    if not Limit.objects.speak_of_output():
        return {}
    now = database_now()
    over = {}
    for owner, allowed in Limit.objects.of(owners).items():
        look = Look(owner, allowed, runs, now)
        for name in ("output_bytes_per_day", "stored_bytes"):
            if getattr(allowed, name) is not None and (standing := look.at(name)).is_reached:
                over.setdefault(owner, standing)
    return over
