"""Runs, their chunks and the tokens of scripts.

Here is the only place where a run's status changes. Each change is one
conditional update that names the epoch, so an executor that was replaced while
it slept changes nothing.
"""

import hashlib
import secrets
from datetime import UTC, timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from . import kinds, signing
from .access import AccessEvent  # noqa: F401  (Django looks for models here)
from .fields import ChunkKeyField, SealedField, chunk_key, seal, unseal


class Status(models.TextChoices):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out", "Timed out"
    LOST = "lost"


HELD = (Status.STARTING, Status.RUNNING)
ACTIVE = (Status.QUEUED, *HELD)
_WORDS = ", ".join(f"'{status.value}'" for status in ACTIVE)
# Written out, because SQLite uses a partial index only where it can see that the
# condition is the index's own: 1 ms instead of 400 with 1,000,000 runs.
IS_ACTIVE = RawSQL(f"status IN ({_WORDS})", (), output_field=models.BooleanField())


def new_public_id() -> str:
    # Without -: an id that begins with one would be an option on a command line.
    return secrets.token_urlsafe(15).replace("-", "_")


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
        """Insert a queued run."""
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
        # Without the name, or the executor's own heartbeat would hold it again.
        return held.update(executor="", lease_until=Now() - timedelta(seconds=1)) == 1

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
                self._sign(run.pk)
        return ended == 1 or self.filter(pk=run.pk, epoch=run.epoch, status=status).exists()

    def _sign(self, pk: int) -> None:
        run = self.get(pk=pk)
        self.filter(pk=pk).update(signature=signing.sign(run.statement()))

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
                self._sign(run.pk)
        if ended:
            return True
        # Two people may cancel at once; the first one's time stays.
        asked = self.filter(pk=run.pk, status__in=HELD)
        asked.filter(cancel_requested_at=None).update(cancel_requested_at=Now())
        return asked.exists()


class Run(models.Model):
    """One launch of a program by a user: kind, status, log."""

    public_id = models.CharField(max_length=40, unique=True, default=new_public_id, editable=False)
    kind = models.CharField(
        max_length=16, choices=[(k.name, k.label) for k in kinds.KINDS.values()]
    )
    mode = models.CharField(max_length=16, blank=True)
    language = models.CharField(max_length=16, blank=True)
    title = models.CharField(max_length=200)
    program = models.JSONField(help_text="A string; a list of strings for parallel.")
    cwd = models.CharField("working directory", max_length=1024, blank=True)
    stdin = models.BooleanField(default=False)
    timeout = models.FloatField(default=300, help_text="Seconds; 0 for none.")
    env_names = models.JSONField("environment names", default=list, blank=True)
    env_plain = models.JSONField(default=dict, blank=True)
    # Values that are secret, for as long as the run needs them.
    env_sealed = SealedField(blank=True, default="", editable=False)
    saved_secrets = models.JSONField("names of saved secrets", default=list, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs"
    )
    # The name outlives the account: an audit a year later must still say who.
    owner_name = models.CharField(max_length=150)
    rerun_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL)

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    exit_code = models.IntegerField(null=True)
    exit_codes = models.JSONField(null=True)
    error = models.TextField(blank=True, default="")
    tasks = models.JSONField(default=list, help_text="Of a parallel run: status, exit_code.")
    stalled = models.BooleanField(default=False)

    sandbox = models.CharField(max_length=16)
    sandbox_id = models.CharField(max_length=100, blank=True, default="")
    executor = models.CharField(max_length=100, blank=True, default="")
    epoch = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)

    # Kept by the recorder in the transaction that stores the chunks they describe.
    last_seq = models.BigIntegerField(default=0)
    line_count = models.BigIntegerField(default=0)
    output_bytes = models.BigIntegerField(default=0)
    last_line = models.CharField(max_length=200, blank=True, default="")
    dropped = models.JSONField(null=True)
    # How far each task's stdout and stderr was consumed, {"0:stdout": [lines, chars]}:
    # where an executor that takes over goes on. Counted before anything is replaced.
    offsets = models.JSONField(default=dict)
    masked = models.BigIntegerField(
        default=0, help_text="How many times a secret was masked in the output."
    )
    # The hash chain's value after the last chunk, see streaming/chain.py; "" before the first.
    chain = models.CharField(max_length=64, blank=True, default="")
    signature = models.CharField(
        max_length=100, blank=True, default="", help_text="Of statement(), when the run has ended."
    )
    checked_at = models.DateTimeField(null=True, help_text="When `verify` looked last.")
    check_found = models.CharField(max_length=200, blank=True, default="")
    # Why a starting run waits, for as long as it does.
    waiting_for = models.CharField(max_length=300, blank=True, default="")

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["owner", "-id"], name="run_list_of_owner"),
            models.Index(
                fields=["status", "owner"],
                name="run_queue_and_held",
                condition=Q(status__in=["queued", "starting", "running"]),
            ),
            models.Index(fields=["-created_at"], name="run_admin_by_date"),
        ]

    def __str__(self):
        return f"{self.title} ({self.public_id})"

    @property
    def is_final(self) -> bool:
        return self.status not in ACTIVE

    def may_be_changed_by(self, user) -> bool:
        """Owner and superusers act; auditors only look."""
        return user.is_active and (user.is_superuser or self.owner_id == user.pk)

    def statement(self) -> bytes:
        """What is signed when the run has ended: what it was, when, how it ended, and the
        chain over all that it printed. Canonical JSON, version 1."""
        times = {
            # As run_dict() has them, so that an export says all that is signed.
            name: moment
            and f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
            for name, moment in (
                ("created_at", self.created_at),
                ("started_at", self.started_at),
                ("finished_at", self.finished_at),
            )
        }
        names = ("kind", "program", "status", "exit_code", "last_seq", "chain", "dropped")
        said = {name: getattr(self, name) for name in names}
        return signing.canonical(
            {"statement": 1, "id": self.public_id, "owner": self.owner_name, **said, **times}
        )

    def is_signed(self) -> bool:
        return signing.is_signed(self.statement(), self.signature)

    def secret_environment(self) -> dict[str, str]:
        """The secret values of its environment, while they are kept. Raises fields.Unreadable."""
        return unseal(self.env_sealed) if self.env_sealed else {}

    @property
    def env_typed(self) -> list[str]:
        """Names of values that nobody keeps once the run has ended."""
        kept = {*self.env_plain, *self.saved_secrets}
        return [name for name in self.env_names if name not in kept]

    def to_launch(self) -> kinds.Launch:
        """What a sandbox needs. Raises fields.Unreadable when the key has changed."""
        return kinds.launch_of(
            run_id=self.public_id,
            owner=self.owner_name,
            kind=self.kind,
            mode=self.mode,
            language=self.language,
            program=self.program,
            env=self.env_plain,
            secret_env=self.secret_environment(),
            cwd=self.cwd,
            stdin=self.stdin,
        )

    def respec(self, env: dict[str, str] | None = None) -> dict:
        """The fields that launched this run, to launch it again with `env` on top."""
        env = self.env_plain | (env or {})
        kept = {
            "plain_env": list(self.env_plain),
            "secrets": [name for name in self.saved_secrets if name not in env],
        }
        values = {name: getattr(self, name) for name in ("kind", "program", "timeout", "stdin")}
        optional = {n: getattr(self, n) for n in ("mode", "language", "cwd", "title")}
        return values | {n: v for n, v in optional.items() if v} | kept | {"env": env}


class Stream(models.TextChoices):
    """Where a chunk came from; the value is the code in the database."""

    STDOUT = "o", "stdout"
    STDERR = "e", "stderr"
    EVENT = "v", "event"
    RESULT = "r", "result"
    ERROR = "x", "error"
    SYSTEM = "s", "system"


STREAM_CODES = {label: code for code, label in Stream.choices}
STREAM_NAMES = dict(Stream.choices)


class ChunkQuerySet(models.QuerySet):
    def of(self, run_pk: int, after: int = 0):
        """A run's chunks behind seq `after`, in seq order."""
        first, end = chunk_key(run_pk, after), chunk_key(run_pk + 1, 0)
        return self.filter(pk__gt=first, pk__lt=end).order_by("pk")


class Chunk(models.Model):
    """The smallest recorded piece of output; never updated.

    Looked for by its key, see ChunkQuerySet.of(): `run` and `seq` have no index, and
    (run, seq) is unique because the key is made of both.
    """

    id = ChunkKeyField(primary_key=True)
    # Chunks go with delete_run(), in slices; the database need not look for them.
    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, db_index=False, db_constraint=False)
    seq = models.BigIntegerField()
    t = models.BigIntegerField("time", help_text="Microseconds since the run started.")
    line = models.BigIntegerField(help_text="Newlines in the run's text before this chunk.")
    stream = models.CharField(max_length=1, choices=Stream.choices)
    task = models.SmallIntegerField(default=0)
    text = models.TextField()
    # Text, not jsonb: it refuses things that programs print.
    data = models.TextField(null=True)  # noqa: DJ001  (null: no data; "" is not JSON)

    objects = ChunkQuerySet.as_manager()

    class Meta:
        indexes = [
            # Everything but plain output: marks, and filters that leave stdout out.
            models.Index(
                fields=["id", "stream"], name="chunk_marks_of_run", condition=~Q(stream="o")
            ),
        ]

    def __str__(self):
        return f"#{self.seq} {self.get_stream_display()}"


class ApiTokenQuerySet(models.QuerySet):
    def make(self, user, name: str):
        """A new token and its secret, which is kept nowhere: (ApiToken, str)."""
        secret = "sst_" + secrets.token_urlsafe(32)
        token = self.create(user=user, name=name, hint=secret[:8], digest=token_digest(secret))
        return token, secret

    def usable(self, secret: str):
        """The token of a secret, with its user; None if unknown, revoked or inactive."""
        return (
            self.filter(digest=token_digest(secret), revoked_at=None, user__is_active=True)
            .select_related("user")
            .first()
        )


def token_digest(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiToken(models.Model):
    """Lets a script act as a user. The secret is shown once and stored hashed."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=80)
    hint = models.CharField(max_length=12, help_text="How the secret begins.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self):
        return f"{self.name} ({self.hint}…)"


class SavedSecretQuerySet(models.QuerySet):
    def save_value(self, user, name: str, value: str) -> bool:
        """Keep a value, in the place of one of the same name; True if it is new."""
        sealed = {"sealed": seal(value), "changed_at": Now()}
        _, is_new = self.update_or_create(user=user, name=name, defaults=sealed)
        return is_new

    def take(self, user, names) -> dict[str, str]:
        """The values of a user's secrets. Raises kinds.InvalidSpec if one is not there."""
        if not names:
            return {}
        found = {secret.name: secret for secret in self.filter(user=user, name__in=names)}
        if missing := [name for name in names if name not in found]:
            raise kinds.InvalidSpec({
                "secrets": f"You have no saved secret {', '.join(missing)[:200]}. "
                "Save it on your account page, or leave it out."
            })  # fmt: skip
        self.filter(pk__in=[secret.pk for secret in found.values()]).update(used_at=Now())
        return {name: unseal(secret.sealed) for name, secret in found.items()}


class SavedSecret(models.Model):
    """A value that a user's runs may have in their environment, by its name; never shown."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_secrets"
    )
    name = models.CharField(max_length=128)
    sealed = SealedField(editable=False)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    used_at = models.DateTimeField(null=True)

    objects = SavedSecretQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="secret_name_of_user"),
        ]

    def __str__(self):
        return self.name


class AgentSessionQuerySet(models.QuerySet):
    LIFETIME = timedelta(hours=1)
    WAITING = 100

    def waiting(self):
        return self.filter(launched=False, created_at__gt=Now() - self.LIFETIME)

    def prepare(self, owner, prompt: str):
        """A session that waits for its first reader; None if the owner has too many."""
        self.filter(launched=False, created_at__lte=Now() - self.LIFETIME).delete()
        if self.waiting().filter(owner=owner).count() >= self.WAITING:
            return None
        return self.create(owner=owner, prompt=prompt)

    def take(self, session) -> bool:
        """Whether it is ours to launch; of any number who try, one is told so."""
        return self.waiting().filter(pk=session.pk).update(launched=True, prompt="") == 1


class AgentSession(models.Model):
    """A checked prompt that waits to be launched, and then the run it became."""

    public_id = models.CharField(max_length=40, unique=True, default=new_public_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    prompt = models.TextField()
    launched = models.BooleanField(default=False)
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    objects = AgentSessionQuerySet.as_manager()

    def __str__(self):
        return self.public_id
