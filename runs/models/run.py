"""A run: what was launched, and what has become of it."""

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .. import kinds, signing
from ..fields import SealedField, unseal
from .run_changes import RunQuerySet
from .statement import FIRST, VERSION, digest_of, statement_of
from .status import ACTIVE, Status


def new_public_id() -> str:
    # Without -: an id that begins with one would be an option on a command line.
    return secrets.token_urlsafe(15).replace("-", "_")


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
    # How much of output_bytes is counted as usage of the owner, see usage.py.
    output_counted = models.BigIntegerField(null=True, editable=False)
    # What is kept of it, once the run has ended. Apart from output_bytes, so that summing
    # it up has an index and storing output need not touch one.
    stored_bytes = models.BigIntegerField(null=True, editable=False)
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
    # {"at", "by", "reason"} once its output is deleted; the row, its chain and signature stay.
    output_deleted = models.JSONField(null=True)
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
            # Without columns that the recorder writes, or each of its updates would touch them.
            models.Index(fields=["finished_at"], name="run_record_retention"),
            models.Index(
                fields=["finished_at"],
                name="run_output_retention",
                condition=Q(output_deleted__isnull=True),
            ),
            models.Index(fields=["owner", "stored_bytes"], name="run_stored_of_owner"),
        ]

    def __str__(self):
        return f"{self.title} ({self.public_id})"

    @property
    def is_final(self) -> bool:
        return self.status not in ACTIVE

    def may_be_changed_by(self, user) -> bool:
        """Owner and superusers act; auditors only look."""
        return user.is_active and (user.is_superuser or self.owner_id == user.pk)

    @property
    def program_sha256(self) -> str:
        return digest_of(self.program)

    def statement(self, version: int = VERSION) -> bytes:
        """What is signed when the run has ended, see statement_of()."""
        named = {"statement": version, "program_sha256": self.program_sha256}
        if version == FIRST:
            named = {"statement": version, "program": self.program}
        return statement_of(self, named)

    def is_signed(self) -> bool:
        versions = (VERSION, FIRST)
        return any(signing.is_signed(self.statement(n), self.signature) for n in versions)

    @property
    def output_deletion(self) -> str:
        """A sentence about when, by whom and why its output was deleted, "" while it is kept."""
        if not (told := self.output_deleted):
            return ""
        when = f"{told['at'][:10]} {told['at'][11:16]} UTC"
        return f"The output was deleted on {when} by {told['by']}: {told['reason']}"

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
