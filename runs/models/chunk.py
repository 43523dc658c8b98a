"""What a run printed, piece by piece."""

from django.db import models
from django.db.models import Q

from ..fields import ChunkKeyField, chunk_key
from .run import Run


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
