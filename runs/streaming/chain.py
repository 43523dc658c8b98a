r"""The hash chain over a run's chunks: whoever changes, adds or removes one breaks it.

    value 0 = SHA-256 of "streamsite chain 1\n" and the run's id
    value n = SHA-256 of value n-1 (32 bytes) and chunk n as it stands in an ndjson export,
              in UTF-8, without the newline

Over the hole that the output cap leaves, the run's `dropped` tells the values at both edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from django.utils import timezone

from ..models import Deletion, Run
from .reading import rows_after
from .wire import chunk_json

PAGE_ROWS = 2_000
PAGE_BYTES = 1024 * 1024
TRIES = 5


def beginning(run_id: str) -> bytes:
    return sha256(b"streamsite chain 1\n" + run_id.encode()).digest()


def values_after(value: bytes, lines: Iterable[bytes]) -> list[bytes]:
    """The chain's value after each of these chunks, which follow the one of `value`."""
    values = []
    for line in lines:
        value = sha256(value + line).digest()
        values.append(value)
    return values


class Edges:
    """The values at the seqs where a hole of the output cap may begin or end."""

    def __init__(self, known: dict[int, bytes]):
        self.values = known
        self._wanted: set[int] = set(known)

    def want(self, seqs: Iterable[int]) -> None:
        """Keep the values at these; those at others are let go of."""
        self._wanted = set(seqs)
        self.values = {seq: value for seq, value in self.values.items() if seq in self._wanted}

    def keep(self, first: int, values: list[bytes]) -> None:
        """Take over what is wanted of the values after chunk `first` and those behind it."""
        end = first + len(values)
        for seq in self._wanted:
            if first <= seq < end:
                self.values[seq] = values[seq - first]


# --- verifying ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """What verify() found: a sentence, and whether all is as it was recorded."""

    is_intact: bool
    sentence: str


def verify(run: Run) -> Finding:
    """Compare a run's chunks with its chain and its signature, in constant memory.

    Reads the database in many steps; call it in a thread. What a run that goes on loses
    to the output cap meanwhile is not taken for missing, nor is what is deleted meanwhile.
    """
    for _ in range(TRIES):
        finding = _verify(run)
        if finding.is_intact:
            return finding
        now = Run.objects.filter(pk=run.pk).first()
        if now is None:
            gone = Deletion.objects.filter(public_id=run.public_id, what=Deletion.RECORD).first()
            return verify_deletion(gone) if gone else finding
        if (now.dropped, now.output_deleted) == (run.dropped, run.output_deleted):
            return finding
        run = now
    return Finding(True, "It prints too fast to be looked at. Verify it when it has ended.")


def check(run: Run) -> Finding:
    """verify(), and the run keeps when it was and what was found."""
    finding = verify(run)
    found = {"checked_at": timezone.now(), "check_found": finding.sentence}
    Run.objects.filter(pk=run.pk).update(**found)
    return finding


def _verify(run: Run) -> Finding:
    if not run.chain and run.last_seq:
        return Finding(False, "It was recorded before there were chains. Nothing can be said.")
    if run.output_deleted:
        return _of_deleted_output(run)
    value, seq = beginning(run.public_id), 0
    hole = run.dropped or {}
    while rows := rows_after(run.pk, seq, PAGE_ROWS, run.last_seq, PAGE_BYTES):
        for row in rows:
            if row[0] == hole.get("to_seq", -1) + 1 and seq == hole["from_seq"] - 1:
                if value.hex() != hole.get("chain_before"):
                    return Finding(False, f"Chunks up to {seq} are not those that were recorded.")
                value, seq = bytes.fromhex(hole["chain_after"]), row[0] - 1
            if row[0] != seq + 1:
                return Finding(False, f"Chunk {seq + 1} is missing.")
            value, seq = sha256(value + chunk_json(row)).digest(), row[0]
    if seq != run.last_seq:
        return Finding(False, f"Chunk {seq + 1} and all behind it are missing.")
    if run.last_seq and value.hex() != run.chain:
        return Finding(False, "The chunks are not those that were recorded.")
    if run.is_final and rows_after(run.pk, seq, 1):
        return Finding(False, f"Chunk {seq + 1} or a later one was added behind the end.")
    return _of_signature(run)


def _of_deleted_output(run: Run) -> Finding:
    known = Deletion.objects.filter(public_id=run.public_id)
    if not any(deletion.is_ours() and deletion.chain == run.chain for deletion in known):
        return Finding(False, "Its output is gone, and no deletion of ours tells why.")
    if not run.is_signed():
        return Finding(False, "Its output was deleted by us, but its record was changed since.")
    return Finding(True, "Its output was deleted, as is known; its record is unchanged.")


def verify_deletion(deletion: Deletion) -> Finding:
    """Whether what is told of a deleted run is what we signed."""
    if not deletion.is_ours():
        return Finding(False, "What is told of its deletion was changed, or is not by us.")
    if deletion.signature and not deletion.is_signed():
        return Finding(False, "It was deleted by us, but its record was not what we had signed.")
    return Finding(True, deletion.sentence)


def _of_signature(run: Run) -> Finding:
    if not run.is_final and run.signature:
        return Finding(False, "It was signed when it ended, but it says now that it goes on.")
    if not run.is_final:
        return Finding(True, "Unchanged so far; it is signed when it ends.")
    if not run.signature:
        return Finding(False, "It has ended, but is not signed.")
    if not run.is_signed():
        return Finding(False, "The signature is of something else, or by a key that is not ours.")
    return Finding(True, "Complete and unchanged.")
