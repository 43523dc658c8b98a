"""How long what was recorded is kept, what must not be deleted, and what was."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from .. import kinds, signing
from .run import Run
from .statement import VERSION, iso, statement_of

KINDS = [(kind.name, kind.label) for kind in kinds.KINDS.values()]


class RetentionRule(models.Model):
    """For how many days after its end a run keeps its output and its record.

    Of several rules that fit a run the most specific one holds: first those for its kind
    and a group of its owner, then those for a group of its owner, then that for its kind,
    then that for everybody. Of several groups of the owner the longest time holds. Where
    no rule fits, everything is kept for ever.

    Nobody knows the groups of an account that was deleted: for its runs the longest time
    of all rules that might have held does.
    """

    kind = models.CharField(max_length=16, blank=True, choices=KINDS, help_text="None: every kind.")
    # Without its group a rule would hold for nobody, and what it kept be deleted.
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+",
        help_text="Of the run's owner. None: everybody.",
    )  # fmt: skip
    output_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)],
        help_text="How long the output is kept. Empty: as long as the record.",
    )  # fmt: skip
    record_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)],
        help_text="How long the record is kept: what ran, when, whose it was, how it ended. "
        "Empty: for ever.",
    )  # fmt: skip

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "group"], name="rule_of_kind_and_group",
                violation_error_message="There is a rule for this kind and group. Change that one.",
            ),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(group=None), name="rule_of_kind",
                violation_error_message="There is a rule for this kind and everybody. "
                "Change that one.",
            ),
            models.CheckConstraint(
                condition=Q(output_days=None) | Q(record_days=None)
                | Q(output_days__lte=F("record_days")),
                name="record_outlives_output",
                violation_error_message="The output goes with its record: keep the record for as "
                "many days at least.",
            ),
            models.CheckConstraint(
                condition=(Q(output_days=None) | Q(output_days__gte=1))
                & (Q(record_days=None) | Q(record_days__gte=1)),
                name="rule_of_a_day_at_least",
            ),
        ]  # fmt: skip

    def __str__(self):
        runs = f"{self.kind} runs" if self.kind else "every run"
        return f"{runs} of {self.group.name}" if self.group_id else runs

    def days(self, what: str) -> int | None:
        """How many days it keeps this, "output" or "record"; None: for ever."""
        if what == Deletion.RECORD or self.output_days is None:
            return self.record_days
        return self.output_days


def unless_it_holds(collector, field, holds, using):
    """on_delete of what a hold is placed on: refused while it holds, later only noted."""
    if any(hold.released_at is None for hold in holds):
        raise models.ProtectedError(
            "It is under a legal hold. Release the hold first.",
            {hold for hold in holds if hold.released_at is None},
        )
    models.SET_NULL(collector, field, holds, using)


class HoldQuerySet(models.QuerySet):
    def active(self):
        return self.filter(released_at=None)

    def of(self, run: Run):
        """Those that keep a run from being deleted."""
        return self.active().filter(Q(run=run.pk) | Q(user=run.owner_id, user__isnull=False))

    def of_outer_run(self):
        """The same inside a query of runs, for Exists()."""
        keeps = Q(run=models.OuterRef("pk")) | Q(user=models.OuterRef("owner"))
        return self.active().filter(keeps)


class Hold(models.Model):
    """Keeps a run, or all runs of a user, from being deleted by anybody until it is released.

    It is never deleted. Names are copied: they outlive what they name.
    """

    run = models.ForeignKey(
        Run, null=True, blank=True, on_delete=unless_it_holds, related_name="holds"
    )
    run_public_id = models.CharField("run's id", max_length=40, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=unless_it_holds,
        related_name="holds", help_text="All runs of this user, those to come included.",
    )  # fmt: skip
    user_name = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=300, help_text="Why, and who asked for it.")
    placed_at = models.DateTimeField(db_default=Now())
    placed_by = models.CharField(max_length=150)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=150, blank=True)
    release_reason = models.CharField(max_length=300, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "run"], name="hold_active", condition=Q(released_at=None))
        ]

    def __str__(self):
        held = f"run {self.run_public_id}"
        return held if self.run_public_id else f"all runs of {self.user_name}"

    def save(self, *args, **kwargs):
        if self.run_id and not self.run_public_id:
            self.run_public_id = self.run.public_id
        if self.user_id and not self.user_name:
            self.user_name = self.user.get_username()
        super().save(*args, **kwargs)

    def clean(self):
        if not self.pk and bool(self.run_id) == bool(self.user_id):
            raise ValidationError("Hold either a run or a user, not both and not neither.")

    @classmethod
    def place(cls, *, run: Run | None = None, user=None, reason: str, by: str) -> "Hold":
        hold = cls(run=run, user=user, reason=reason, placed_by=by)
        hold.save()
        return hold

    def release(self, by: str, reason: str) -> bool:
        """False if it is released already."""
        held = Hold.objects.active().filter(pk=self.pk)
        return held.update(released_at=Now(), released_by=by, release_reason=reason) == 1


class Deletion(models.Model):
    """What stays known of a run whose output or record was deleted; never changed, but for done_at.

    It is made before anything is deleted, in the transaction that decides it. `signature` is
    that of the run (see Run.statement()), which stays checkable; `proof` is ours of this
    deletion, which whoever has only the database cannot make.
    """

    OUTPUT, RECORD = "output", "record"
    WHAT = [(OUTPUT, "its output"), (RECORD, "the run with its output")]

    public_id = models.CharField("run", max_length=40)
    what = models.CharField("deleted", max_length=8, choices=WHAT)
    at = models.DateTimeField("when", db_index=True)
    by = models.CharField("deleted by", max_length=150)
    reason = models.CharField(max_length=300)
    done_at = models.DateTimeField("done", null=True, help_text="When the last of it was gone.")

    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=KINDS)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    owner_name = models.CharField(max_length=150)
    status = models.CharField(max_length=16)
    exit_code = models.IntegerField(null=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True, db_index=True)
    program_sha256 = models.CharField("SHA-256 of the program", max_length=64)
    last_seq = models.BigIntegerField("chunks")
    line_count = models.BigIntegerField("lines")
    output_bytes = models.BigIntegerField("bytes")
    dropped = models.JSONField(null=True)
    chain = models.CharField("head of the chain", max_length=64, blank=True)
    signature = models.CharField(max_length=100, blank=True)
    proof = models.CharField("signature of the deletion", max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["public_id", "what"], name="deletion_of_run"),
        ]
        indexes = [
            models.Index(fields=["id"], name="deletion_not_done", condition=Q(done_at=None)),
        ]

    def __str__(self):
        return f"{self.title} ({self.public_id}): {self.get_what_display()}"

    @classmethod
    def of(cls, run: Run, what: str, by: str, reason: str, at: datetime) -> "Deletion":
        """One that is not stored yet."""
        copied = (
            "public_id", "title", "kind", "owner_id", "owner_name", "status", "exit_code",
            "created_at", "started_at", "finished_at", "last_seq", "line_count", "output_bytes",
            "dropped", "chain", "signature",
        )  # fmt: skip
        told = cls(
            what=what, by=by[:150], reason=reason[:300], at=at,
            program_sha256=run.program_sha256, **{name: getattr(run, name) for name in copied},
        )  # fmt: skip
        if run.signature and not told.is_signed() and run.is_signed():
            # Signed in the first version, which cannot be checked without the program.
            told.signature = signing.sign(told.run_statement())
        told.proof = signing.sign(told.statement())
        return told

    @property
    def sentence(self) -> str:
        what = "The output was" if self.what == self.OUTPUT else "This run was"
        return f"{what} deleted on {self.at:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason}"

    def run_statement(self) -> bytes:
        """What the run's own signature is of."""
        program = {"statement": VERSION, "program_sha256": self.program_sha256}
        return statement_of(self, program)

    def is_signed(self) -> bool:
        """Whether the run's own signature is of what is told here."""
        return signing.is_signed(self.run_statement(), self.signature)

    def statement(self) -> bytes:
        """What `proof` is of: the whole row but done_at and the account, as canonical JSON."""
        names = ("what", "by", "reason", "title", "line_count", "output_bytes", "signature")
        said = {name: getattr(self, name) for name in names}
        run = self.run_statement().decode("utf-8", "surrogatepass")
        return signing.canonical({"deletion": 1, "at": iso(self.at), "run": run, **said})

    def is_ours(self) -> bool:
        """Whether this is a deletion that we made, with all that is told of it."""
        return signing.is_signed(self.statement(), self.proof)
