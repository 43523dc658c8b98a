"""Every change of a run's status, and who carries it.

Each change is one conditional update that names the epoch, so an executor that was
replaced while it slept changes nothing. No other file changes a status.
"""

from datetime import timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from .. import kinds, signing
from ..fields import seal
from .credentials import SavedSecret
from .standing import check_limits, kept_bytes, over_output_limits
from .status import HELD, IS_ACTIVE, Status
from .usage import Usage, count_output, count_output_of
from .webhook import Delivery


class RunQuerySet(models.QuerySet):
    def visible_to(self, user):
        if not user.is_active:
            return self.none()
        if user.has_perm("runs.view_run"):
            return self
        return self.filter(owner=user.pk)

    def active(self):
        return self.filter(IS_ACTIVE)

    def held_ones(self):
        """Runs that some executor holds."""
        return self.active().filter(status__in=HELD)

    def launch(self, owner, spec: kinds.Spec, rerun_of=None):
        """Insert a queued run. Raises LimitReached if the owner may not launch now."""
        with transaction.atomic():
            check_limits(owner, self.model.objects)
            run = self._queued(owner, spec, rerun_of)
            Usage.objects.add(owner.pk, launches=1)
        return run

    def _queued(self, owner, spec: kinds.Spec, rerun_of):
        return self.create(
            kind=spec.kind,
            mode=spec.mode,
            language=spec.language,
            title=spec.title,
            program=spec.program,
            cwd=spec.cwd,
            stdin=spec.stdin,
            timeout=spec.timeout,
            **self._environment(owner, spec),
            owner=owner,
            owner_name=owner.get_username(),
            rerun_of=rerun_of,
            tasks=(
                [{"status": Status.QUEUED.value, "exit_code": None} for _ in spec.program]
                if spec.kind == "parallel"
                else []
            ),
            sandbox=settings.SANDBOX,
        )

    @staticmethod
    def _environment(owner, spec: kinds.Spec) -> dict:
        """The fields that keep it. Raises kinds.InvalidSpec if a saved secret is not there."""
        plain = {name: spec.env[name] for name in spec.plain_env}
        saved = SavedSecret.objects.take(owner, spec.secrets)
        secret = {n: value for n, value in spec.env.items() if n not in plain} | saved
        return {
            "env_names": sorted({**plain, **secret}),
            "env_plain": plain,
            "env_sealed": seal(secret) if secret else "",
            "saved_secrets": sorted(saved),
        }

    # --- who executes ----------------------------------------------------------

    def claim_next(self, executor: str, lease_seconds: float, served: dict, most: int = 0):
        """Take the queued run whose turn it is; None if there is none.

        Fair between users: the oldest run of the user with the fewest runs going,
        and of these the one who was served longest ago. `served` maps an owner's pk
        to a number that rises with time; it is kept by the caller and by us. Whoever
        has `most` runs going at this executor has to wait for one of them to end.
        """
        while True:
            busy = dict(
                self.held_ones().values_list("owner").annotate(n=models.Count("pk")).order_by()
            )
            heads = (
                self.active()
                .filter(status=Status.QUEUED)
                .values_list("owner")
                .annotate(first=models.Min("pk"))
                .order_by()
            )
            full = self._owners_with(executor, most) if most else set()
            turns = (
                (busy.get(o, 0), served.get(o, 0), first) for o, first in heads if o not in full
            )
            turn = min(turns, default=None)
            if turn is None:
                return None
            if run := self.claim(turn[-1], executor, lease_seconds):
                served[run.owner_id] = 1 + max(served.values(), default=0)
                return run
            # Somebody else took it, or it was cancelled; the next look differs.

    def _owners_with(self, executor: str, count: int) -> set:
        """The owners of so many runs that an executor holds, or more."""
        of_owners = self.held_ones().filter(executor=executor).values_list("owner")
        counted = of_owners.annotate(n=models.Count("pk")).order_by()
        return {owner for owner, n in counted if n >= count}

    def expired(self, executor: str) -> tuple[list[int], list[int]]:
        """The pks of runs whose executor, another one, let its lease run out: of those
        that can be claimed now, and of those whose rows are locked."""
        others = self.held_ones().exclude(executor=executor).filter(lease_until__lt=Now())
        pks = others.order_by("pk").values_list("pk", flat=True)
        found = list(pks)
        if not found or connection.vendor != "postgresql":
            return found, []
        with transaction.atomic():
            free = list(pks.select_for_update(skip_locked=True))
        return free, [pk for pk in found if pk not in free]

    def release(self, pk: int, executor: str) -> bool:
        """Let a run that an executor holds go to whoever takes it next."""
        held = self.held_ones().filter(pk=pk, executor=executor)
        # What was starting has run nothing yet, so it waits as it did before the claim.
        back = held.filter(status=Status.STARTING).update(
            status=Status.QUEUED, executor="", lease_until=None, waiting_for=""
        )
        # Without the name, or the executor's own heartbeat would hold it again.
        gone = back or held.update(executor="", lease_until=Now() - timedelta(seconds=1))
        return gone == 1

    def starting_at(self, executor: str) -> set[int]:
        """The pks of runs that an executor has claimed and not begun."""
        starting = self.held_ones().filter(executor=executor, status=Status.STARTING)
        return set(starting.values_list("pk", flat=True))

    def claim(self, pk: int, executor: str, lease_seconds: float):
        """Hold a queued run, or one whose lease has run out; None if we cannot."""
        free = Q(status=Status.QUEUED) | Q(status__in=HELD, lease_until__lt=Now())
        return self._take(self.filter(free, pk=pk), executor, lease_seconds)

    def take_over(self, pk: int, executor: str, lease_seconds: float):
        """Hold a run whose executor is known to be dead, whatever its lease says."""
        held = self.filter(pk=pk, status__in=HELD).exclude(executor=executor)
        return self._take(held, executor, lease_seconds)

    def _take(self, chosen, executor: str, lease_seconds: float):
        pk = chosen.values_list("pk", flat=True).first()
        taken = pk is not None and chosen.update(
            epoch=F("epoch") + 1,
            executor=executor,
            lease_until=Now() + timedelta(seconds=lease_seconds),
            status=models.Case(
                models.When(status=Status.QUEUED, then=models.Value(Status.STARTING)),
                default=F("status"),
            ),
        )
        # By name, too: who is frozen here may wake when the run is another's already,
        # and must not go on with that one's epoch.
        return self.filter(pk=pk, executor=executor).first() if taken else None

    def held_sandboxes(self) -> dict[str, str]:
        """The sandbox of every run that some executor holds, "" until it has one; by public id."""
        return dict(self.held_ones().values_list("public_id", "sandbox_id"))

    def cancels_asked_of(self, executor: str) -> list[int]:
        """The pks of runs that an executor holds and somebody wants ended."""
        held = self.held_ones().filter(executor=executor)
        return list(held.exclude(cancel_requested_at=None).values_list("pk", flat=True))

    def renew(self, executor: str, lease_seconds: float) -> set[int]:
        """Heartbeat: extend every lease of one executor in one update; whose they are."""
        held = self.held_ones().filter(executor=executor)
        with transaction.atomic():
            if connection.vendor == "postgresql":
                # In id order, as every other statement that locks several runs.
                locked = held.order_by("pk").select_for_update().values_list("pk", flat=True)
                held = self.filter(pk__in=list(locked))
            pks = set(held.values_list("pk", flat=True))
            held.update(lease_until=Now() + timedelta(seconds=lease_seconds))
        return pks

    def is_elsewhere(self, run) -> bool:
        """Whether another executor has taken a run that we held."""
        return self.filter(pk=run.pk).exclude(epoch=run.epoch).exists()

    def held(self, run):
        """The run's row if we still hold it, else no row."""
        return self.filter(pk=run.pk, epoch=run.epoch, status__in=HELD)

    # --- what it uses ----------------------------------------------------------

    def count_output(self, executor: str) -> dict[int, int | None]:
        """Count what the runs of an executor have printed since the last look; the keys
        of those that have, with their owners'."""
        held = self.held_ones().filter(executor=executor)
        grown = held.filter(output_bytes__gt=Coalesce("output_counted", 0))
        if not grown.exists():
            return {}  # without a lock on anything
        with transaction.atomic():
            return count_output(grown)

    def beyond_limits(self, owners: dict[int, int | None]) -> dict[int, str]:
        """Of these runs, by key with their owners', those whose owner may print nothing
        more, and why."""
        over = over_output_limits({*owners.values()} - {None}, self.model.objects)
        return {pk: over[owner].sentence() for pk, owner in owners.items() if owner in over}

    # --- what becomes of it ----------------------------------------------------

    def begin(self, run, sandbox_id: str) -> bool:
        """Move a run we hold from starting to running; its clock starts now.

        May be done again when the answer to it was lost.
        """
        is_ours = Q(status=Status.STARTING) | Q(sandbox_id=sandbox_id)
        begun = self.held(run).filter(is_ours)
        tasks = [{**task, "status": Status.RUNNING.value} for task in run.tasks]
        ours = begun.update(
            status=Status.RUNNING,
            started_at=Now(),
            sandbox_id=sandbox_id,
            tasks=tasks,
            waiting_for="",
        )
        return ours == 1

    def set_waiting(self, run, reason: str) -> bool:
        """Say why a run that is starting has to wait."""
        waiting = self.held(run).filter(status=Status.STARTING)
        return waiting.update(waiting_for=reason[:300]) == 1

    def set_tasks(self, run, tasks: list[dict]) -> bool:
        return self.held(run).update(tasks=tasks) == 1

    def set_stalled(self, run, stalled: bool) -> bool:
        return self.held(run).exclude(stalled=stalled).update(stalled=stalled) == 1

    def finish(self, run, status, *, exit_code=None, exit_codes=None, error="", tasks=()) -> bool:
        """Move a run we hold into its final status; False if we no longer hold it.

        May be done again when the answer to it was lost.
        """
        with transaction.atomic():
            ended = self.held(run).update(
                status=status,
                finished_at=Now(),
                exit_code=exit_code,
                exit_codes=exit_codes,
                error=error,
                tasks=list(tasks),
                lease_until=None,
                stalled=False,
                waiting_for="",
                env_sealed="",
            )
            if ended:
                self._conclude(run.pk)
        return ended == 1 or self.filter(pk=run.pk, epoch=run.epoch, status=status).exists()

    def _conclude(self, pk: int) -> None:
        run = self.get(pk=pk)
        self.filter(pk=pk).update(
            signature=signing.sign(run.statement()),
            stored_bytes=kept_bytes(run.output_bytes, run.dropped),
            output_counted=run.output_bytes,
        )
        count_output_of(run)
        # In the same transaction: whoever waits for the end is told of it, whatever dies.
        Delivery.objects.of_end(run)

    def request_cancel(self, run) -> bool:
        """Ask for a run's end; a queued one ends here. False if it is final already."""
        with transaction.atomic():
            ended = self.filter(pk=run.pk, status=Status.QUEUED).update(
                status=Status.CANCELLED,
                cancel_requested_at=Now(),
                finished_at=Now(),
                tasks=[{**task, "status": Status.CANCELLED.value} for task in run.tasks],
                error="Cancelled before it started.",
                env_sealed="",
            )
            if ended:
                self._conclude(run.pk)
        if ended:
            return True
        # Two people may cancel at once; the first one's time stays.
        asked = self.filter(pk=run.pk, status__in=HELD)
        asked.filter(cancel_requested_at=None).update(cancel_requested_at=Now())
        return asked.exists()
