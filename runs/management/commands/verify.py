import sys
from datetime import timedelta

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ... import signing
from ...models import ACTIVE, Deletion, Run
from ...streaming.chain import Finding, check, verify_deletion
from ..checkpoints import Checkpoint, midnight, read

# Of a run that a checkpoint has.
SAME = ("last_seq", "chain", "signature")


class Command(BaseCommand):
    help = (
        "Compare recordings with their hash chains and signatures. Exits with 1 if one of them is "
        "not complete and unchanged."
    )

    def add_arguments(self, parser):
        parser.add_argument("runs", nargs="*", metavar="RUN")
        parser.add_argument("--all", action="store_true", help="every run that has ended")
        parser.add_argument(
            "--against", metavar="FILE", help="a file of `checkpoint`: its runs must be there, too"
        )
        parser.add_argument("--key", action="store_true", help="print the public keys and leave")

    def handle(self, *args, runs, all, against, key, **options):
        if key:
            self.stdout.write("\n".join(signing.public_keys()))
            return
        if not (runs or all or against):
            raise CommandError("Say which: RUN, --all or --against FILE.")
        kept, wrong = {}, self.check_deletions() if all else 0
        if against:
            checkpoint = read(against)
            kept = checkpoint.runs
            wrong += self.check_access(checkpoint) + self.check_kept(kept)
        for run in chosen(runs, kept, all):
            finding = check(run)
            wrong += not finding.is_intact
            if runs or not finding.is_intact:
                self.stdout.write(f"{run.public_id}  {finding.sentence}")
        if wrong:
            self.stderr.write(f"Not as it was recorded: {wrong}.")
            sys.exit(1)
        self.stdout.write("Every recording that was looked at is complete and unchanged.")

    def check_access(self, checkpoint: Checkpoint) -> int:
        if checkpoint.has_its_events():
            return 0
        days = settings.ACCESS_DAYS
        if days and midnight(checkpoint.day) < timezone.now() - timedelta(days=days):
            self.stdout.write(f"Access events are kept for {days} days: {checkpoint.day} is past.")
            return 0
        self.stdout.write(f"The access events of {checkpoint.day} are not those that were there.")
        return 1

    def check_deletions(self) -> int:
        """How many deletions are not as they were noted; says how many there are."""
        known = wrong = 0
        for deletion in Deletion.objects.order_by("pk").iterator(chunk_size=100):
            finding = verify_deletion(deletion)
            known += finding.is_intact
            wrong += not finding.is_intact
            if not finding.is_intact:
                self.stdout.write(f"{deletion.public_id}  {finding.sentence}")
        if known:
            self.stdout.write(f"{known} deletions are known; the admin tells why.")
        return wrong

    def check_kept(self, kept: dict[str, dict]) -> int:
        """How many runs of a checkpoint are gone or others now."""
        found = {run.public_id: run for run in Run.objects.filter(public_id__in=list(kept))}
        wrong = 0
        for run_id, line in kept.items():
            run = found.get(run_id)
            if run is None:
                finding = of_deleted(run_id, line)
                self.stdout.write(f"{run_id}  The run is gone. {finding.sentence}")
                if finding.is_intact:
                    continue
            elif any(getattr(run, name) != line[name] for name in SAME):
                # Signed anew, too: somebody made it go on, and we ended it again.
                self.stdout.write(f"{run_id}  It is not the recording of the checkpoint.")
            else:
                continue
            wrong += 1
        return wrong


def of_deleted(run_id: str, line: dict) -> Finding:
    """What is known of a run that is gone, which a checkpoint has."""
    for deletion in Deletion.objects.filter(public_id=run_id, what=Deletion.RECORD):
        if (deletion.last_seq, deletion.chain) != (line["last_seq"], line["chain"]):
            return Finding(False, "What is told of its deletion is of another recording.")
        return verify_deletion(deletion)
    return Finding(False, "Nothing tells why.")


def chosen(runs: list[str], kept, all: bool):
    """The runs, one at a time. Raises CommandError for an id that was given and is unknown."""
    if all:
        ended = Run.objects.exclude(status__in=ACTIVE, signature="")
        yield from ended.order_by("pk").iterator(chunk_size=100)
        return
    for run_id in dict.fromkeys([*runs, *kept]):
        run = Run.objects.filter(public_id=run_id).first()
        if run is not None:
            yield run
        elif deletion := Deletion.objects.filter(public_id=run_id, what="record").first():
            if run_id in runs:
                raise CommandError(verify_deletion(deletion).sentence)
        elif run_id in runs:
            raise CommandError(f"There is no run {run_id}.")
