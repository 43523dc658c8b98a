"""`retain`, and `verify` and `checkpoint` where something was deleted."""

import os
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path
from unittest import mock, skipUnless
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from runs import access, signing
from runs.access import AccessEvent, Action
from runs.execution import dispatch
from runs.models import Chunk, Deletion, Run
from runs.streaming import database
from runs.streaming.deletion import decide, delete_run, steps
from runs.streaming.exports import export
from tests.factories import make_chunks
from tests.streaming.test_chain import WHOLE, run_script
from tests.streaming.test_retention import DeletionCase, make_old, make_rule

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60


def environment(directory: str) -> dict[str, str]:
    """Of a process that works on the database of the tests."""
    url = settings.DATABASE_URL and urlsplit(settings.DATABASE_URL)
    name = str(settings.DATABASES["default"]["NAME"])
    if not url:
        (Path(directory) / "db.sqlite3").symlink_to(connection.settings_dict["NAME"])
    return os.environ | {
        "STREAMSITE_DATA_DIR": directory,
        "STREAMSITE_SECRET_KEY": settings.SECRET_KEY,
        "DATABASE_URL": url and url._replace(path=f"/{name}").geturl(),
    }


def call(*arguments) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except SystemExit as end:
        return out.getvalue(), end.code
    return out.getvalue(), 0


class CommandCase(DeletionCase):
    def in_thread(self, function, *args):
        return database.write(function, *args)


class RetainTests(CommandCase):
    def test_it_says_what_it_deleted(self):
        self.assertEqual(call("retain"), ("Nothing is due.\n", 0))
        make_old(self.alice, 15, output_bytes=2000)
        make_rule(10)
        out, code = call("retain")
        self.assertEqual(code, 0)
        self.assertEqual(
            out.replace("\xa0", " "),
            "every run, output after 10 days: 1 run deleted, 2.0 KB of output.\n",
        )
        self.assertEqual(AccessEvent.objects.get().actor_name, "manage.py retain")
        self.assertEqual(call("retain"), ("Nothing is due.\n", 0))

    def test_killed_in_the_middle_and_asked_again(self):
        run = make_old(self.alice, 15, chunks=())
        make_chunks(run, ["a line of output\n"] * 100_000)
        Run.objects.filter(pk=run.pk).update(last_seq=100_000)
        make_rule(5, 10)
        with tempfile.TemporaryDirectory() as directory:
            command = [sys.executable, "manage.py", "retain"]
            how = {"cwd": ROOT, "env": environment(directory), "stderr": subprocess.PIPE}
            first = subprocess.Popen(command, **how, stdout=subprocess.PIPE)
            deadline = time.monotonic() + SECONDS
            while Chunk.objects.count() == 100_000 and time.monotonic() < deadline:
                self.assertIsNone(first.poll())
            first.kill()
            _, errors = first.communicate()
            self.assertEqual(errors, b"")
            left = Chunk.objects.count()
            self.assertTrue(0 < left < 100_000, left)
            self.assertEqual(Deletion.objects.get().done_at, None)
            self.assertTrue(Run.objects.get().output_deleted)
            again = subprocess.run(
                command, **how, stdout=subprocess.PIPE, timeout=SECONDS, check=False
            )
            self.assertEqual((again.returncode, again.stderr), (0, b""))
        self.assertFalse(Run.objects.exists() or Chunk.objects.exists())
        self.assertIsNotNone(Deletion.objects.get().done_at)

    @skipUnless(connection.vendor == "sqlite", "of SQLite")
    def test_the_file_is_written_anew_only_where_nobody_records(self):
        elsewhere = mock.patch.object(dispatch, "describe", return_value={"executor": "elsewhere"})
        with elsewhere, self.assertRaisesMessage(CommandError, "Stop it first."):
            call("retain", "--vacuum")
        self.assertIn("The database took", call("retain", "--vacuum")[0])

    @skipUnless(connection.vendor == "postgresql", "of PostgreSQL")
    def test_vacuum_is_for_sqlite(self):
        with self.assertRaisesMessage(CommandError, "see README"):
            call("retain", "--vacuum")


class ProofTests(CommandCase):
    async def test_verify_and_checkpoint_know_what_was_deleted(self):
        gone, emptied = await self.recorded("one\n"), await self.recorded("two\n")
        await self.in_thread(self.check, gone, emptied)

    def check(self, gone: Run, emptied: Run):
        day = f"{gone.finished_at:%Y-%m-%d}"
        with tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder) / "before", Path(folder) / "after"
            event = access.event_of(Action.LOGIN, self.alice)
            event.at = gone.finished_at
            event.save()
            before.write_text(call("checkpoint", "--day", day)[0])
            delete_run(gone, "alice", "No longer wanted.")
            for _ in deletion_of(emptied):
                pass
            out, code = call("verify", "--all")
            self.assertEqual(code, 0, out)
            self.assertIn("2 deletions are known", out)
            out, code = call("verify", emptied.public_id)
            self.assertEqual((code, "deleted, as is known" in out), (0, True))
            out, code = call("verify", "--against", str(before))
            self.assertEqual(code, 0, out)
            self.assertIn("by alice: No longer wanted.", out)
            after.write_text(call("checkpoint", "--day", day)[0])
            heads = [path.read_text().splitlines()[:-1] for path in (before, after)]
            self.assertEqual(*heads)
            with self.assertRaisesMessage(CommandError, "by alice: No longer wanted."):
                call("verify", gone.public_id)
            self.check_forgotten(before)
            self.check_forged(gone, emptied, before)

    def check_forgotten(self, checkpoint: Path):
        """Access events that were deleted by the setting are not missing, others are."""
        event = AccessEvent.objects.get(action=Action.LOGIN)
        AccessEvent.objects.filter(pk=event.pk).delete()
        out, code = call("verify", "--against", str(checkpoint))
        self.assertEqual((code, "access events of" in out), (1, True))
        with override_settings(ACCESS_DAYS=10):
            out, code = call("verify", "--against", str(checkpoint))
        self.assertEqual((code, "kept for 10 days" in out), (0, True), out)
        event.save(force_insert=True)
        self.assertEqual(call("verify", "--against", str(checkpoint))[1], 0)

    def check_forged(self, gone: Run, emptied: Run, checkpoint: Path):
        """Whoever has only the database can delete, but not make it look like a deletion."""
        Deletion.objects.filter(public_id=gone.public_id).update(reason="Quite another one.")
        out, code = call("verify", "--against", str(checkpoint))
        self.assertEqual((code, "was changed, or is not by us" in out), (1, True))
        self.assertEqual(call("verify", "--all")[1], 1)
        Deletion.objects.all().delete()
        out, code = call("verify", "--against", str(checkpoint))
        self.assertEqual((code, "The run is gone. Nothing tells why." in out), (1, True))
        out, code = call("verify", emptied.public_id)
        self.assertEqual((code, "no deletion of ours tells why" in out), (1, True))

    async def test_the_script_of_readme_says_that_output_was_deleted(self):
        run = await self.recorded("one\n")
        key = signing.public_keys()[0]
        whole = await database.read(lambda: b"".join(export(run, "ndjson")))
        self.assertIn(WHOLE[1:-1], run_script(whole, key).stdout)
        await self.in_thread(lambda: list(deletion_of(run)))
        emptied = await database.read(lambda: b"".join(export(Run.objects.get(), "ndjson")))
        checked = run_script(emptied, key)
        self.assertEqual(checked.returncode, 0, checked)
        self.assertIn("its output was deleted: Test.", checked.stdout)
        forged = emptied.replace(b'"owner":"alice"', b'"owner":"bobby"')
        self.assertNotEqual(run_script(forged, key).returncode, 0)


def deletion_of(run: Run):
    return steps(decide(run, Deletion.OUTPUT, "alice", "Test."))
