"""Deleting a run with its log."""

from ..models import Chunk, Run

SLICE = 5_000


def delete_run(run: Run) -> None:
    """Delete a final run and its chunks. Called in a thread (ORM).

    In slices, because one delete of a million rows would hold the writer lock for
    seconds while other runs print. Stopped half-way it can simply be asked again.
    """
    while True:
        some = Chunk.objects.of(run.pk).values("pk")[:SLICE]
        if Chunk.objects.filter(pk__in=some).delete()[0] < SLICE:
            break
    run.delete()
