"""The hash chain: what was recorded can be told from what was changed."""

import subprocess
import sys
import tempfile
from datetime import timedelta
from io import StringIO
from pathlib import Path
from unittest import mock

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import TransactionTestCase, override_settings

from runs import signing
from runs.access import AccessEvent, Action, note
from runs.models import Chunk, Run, Status
from runs.streaming import database, recorder, storing
from runs.streaming.chain import verify
from runs.streaming.exports import export
from runs.streaming.recorder import Recorder
from tests.factories import make_run
from tests.people import make_user
from tests.test_readme import section

from .helpers import drafts, make_held_run

WHOLE = "Complete and unchanged."


class ChainCase(TransactionTestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.row = make_held_run(self.alice)

    async def record(self, *texts, row=None):
        """Record, each text in a transaction of its own, as an executor that came just now."""
        writer = Recorder(lambda run_pk, batches: None)
        writer.start()
        try:
            recording = await writer.open(await database.read(self.fresh, row))
            for text in texts:
                await recording.append(drafts(*([text] if isinstance(text, str) else text)))
                await recording.flush()
        finally:
            await writer.close()

    def fresh(self, row=None) -> Run:
        return Run.objects.get(pk=(row or self.row).pk)

    async def ended(self, status=Status.SUCCEEDED) -> Run:
        await database.write(Run.objects.finish, self.row, status)
        return await database.read(self.fresh)

    async def found(self) -> str:
        return (await database.read(lambda: verify(self.fresh()))).sentence


class RecordedTests(ChainCase):
    async def test_what_was_recorded_is_complete_and_unchanged(self):
        await self.record("one\n", ["two", "é\x1b[0m", "𝄞"], "", "last")
        self.assertEqual(await self.found(), "Unchanged so far; it is signed when it ends.")
        run = await self.ended()
        self.assertEqual(await self.found(), WHOLE)
        self.assertTrue(run.is_signed())

    async def test_a_run_without_output(self):
        await self.ended()
        self.assertEqual(await self.found(), WHOLE)

    async def test_what_is_added_behind_the_end(self):
        await self.record("one\n")
        run = await self.ended()
        last = await Chunk.objects.of(run.pk).alast()
        last.pk, last.seq, last.text = last.pk + 1, last.seq + 1, "forged\n"
        await last.asave(force_insert=True)
        self.assertEqual(await self.found(), "Chunk 2 or a later one was added behind the end.")

    async def test_a_successor_goes_on_where_the_chain_was(self):
        for text in ("one", "two", "three"):
            await self.record(text)
        await self.ended()
        self.assertEqual(await self.found(), WHOLE)

    @override_settings(OUTPUT_CAP_BYTES=64 * 1024)
    async def test_over_the_hole_of_the_output_cap(self):
        flood = ["x" * 1000 + "\n" for _ in range(40)]
        for _ in range(4):
            await self.record(flood, *flood[:7])
            self.assertIn("Unchanged so far", await self.found())
        run = await self.ended()
        self.assertGreater(run.dropped["chunks"], 50)
        self.assertEqual(await self.found(), WHOLE)
        await Chunk.objects.of(run.pk).afirst()
        for seq in (run.dropped["from_seq"] - 1, run.dropped["to_seq"] + 1):
            with self.subTest(seq):
                chunk = await Chunk.objects.of(run.pk, seq - 1).afirst()
                await Chunk.objects.filter(pk=chunk.pk).aupdate(text="y" + chunk.text[1:])
                self.assertNotEqual(await self.found(), WHOLE)
                await Chunk.objects.filter(pk=chunk.pk).aupdate(text=chunk.text)
        await database.write(lambda: Run.objects.filter(pk=run.pk).update(
            dropped=run.dropped | {"chain_after": "00" * 32}))  # fmt: skip
        self.assertNotEqual(await self.found(), WHOLE)

    @override_settings(OUTPUT_CAP_BYTES=64 * 1024)
    async def test_a_hole_that_moves_meanwhile_is_not_taken_for_missing_chunks(self):
        flood = ["x" * 1000 + "\n" for _ in range(40)]
        await self.record(flood, flood, flood)
        stale = await database.read(self.fresh)
        await self.record(flood, flood)
        now = await database.read(self.fresh)
        self.assertLess(stale.dropped["to_seq"], now.dropped["to_seq"])
        found = await database.read(verify, stale)
        self.assertEqual(found.sentence, "Unchanged so far; it is signed when it ends.")
        # What is missing besides is told.
        await Chunk.objects.filter(pk=(await Chunk.objects.of(now.pk, 1).afirst()).pk).adelete()
        self.assertFalse((await database.read(verify, now)).is_intact)
        self.assertFalse((await database.read(verify, stale)).is_intact)

    async def test_rows_that_the_database_refuses_are_part_of_it_as_their_remarks(self):
        real = storing.store

        def picky(works):
            if any("bad" in row[5] for work in works for row in work.rows):
                raise IntegrityError("refused")
            return real(works)

        with (
            mock.patch.object(recorder, "store", picky),
            self.assertLogs("runs.streaming.recorder"),
        ):
            await self.record(["a", "bad", "b", "bad", "c"], "d", "\ud800", "e")
        texts = [chunk.text async for chunk in Chunk.objects.of(self.row.pk)]
        replaced = [text.endswith("could not be stored: IntegrityError\n") for text in texts]
        self.assertEqual(replaced, [False, True, False, True, False, False, False, False])
        self.assertIn("3 bytes of output could not be stored", texts[6])
        await self.ended()
        self.assertEqual(await self.found(), WHOLE)

    async def test_what_is_published_is_what_the_chain_is_over(self):
        run = await database.read(self.fresh)
        self.assertEqual(run.chain, "")
        await self.record("a")
        before = (await database.read(self.fresh)).chain
        await self.record("b")
        self.assertEqual(len(before), 64)
        self.assertNotEqual((await database.read(self.fresh)).chain, before)

    def test_a_run_from_before_there_were_chains(self):
        run = make_run(self.alice, chunks=["a"])
        self.assertEqual(
            verify(run).sentence, "It was recorded before there were chains. Nothing can be said."
        )

    def test_runs_that_never_started_are_signed_too(self):
        run = make_run(self.alice, Status.QUEUED)
        Run.objects.request_cancel(run)
        self.assertEqual(verify(self.fresh(run)).sentence, WHOLE)


class TamperedTests(ChainCase):
    async def test_every_change_is_found(self):
        await self.record("one\n", "two\n", "three\n")
        run = await self.ended()

        def change(where, **fields):
            return lambda: where.update(**fields)

        chunks, runs = Chunk.objects.of(run.pk), Run.objects.filter(pk=run.pk)
        second, last = chunks.filter(seq=2).order_by(), chunks.filter(seq=3).order_by()
        added = Chunk(run=run, seq=4, t=9, line=3, stream="o", text="four\n")
        changes = {
            "a text": change(second, text="TWO\n"),
            "a time": change(second, t=1),
            "a stream": change(second, stream="e"),
            "a task": change(second, task=1),
            "data": change(second, data="{}"),
            "a chunk less": second.delete,
            "the last less": last.delete,
            "the last less, and the count": lambda: (last.delete(), runs.update(last_seq=2)),
            "a chunk more": lambda: (added.save(force_insert=True), runs.update(last_seq=4)),
            "the chain": change(runs, chain="0" * 64),
            "the program": change(runs, program="echo else"),
            "the owner": change(runs, owner_name="bob"),
            "the status": change(runs, status=Status.FAILED),
            "the end": change(runs, finished_at="2020-01-01T00:00:00Z"),
            "the signature": change(runs, signature=""),
        }
        for name, tamper in changes.items():
            with self.subTest(name):
                finding = await database.write(self.after, tamper)
                self.assertFalse(finding.is_intact, finding.sentence)
                self.assertEqual(await self.found(), WHOLE)

    def after(self, tamper):
        """What is found after a change; which is taken back."""
        with transaction.atomic():
            tamper()
            finding = verify(self.fresh())
            transaction.set_rollback(True)
        return finding

    async def test_another_key_is_not_ours(self):
        await self.record("one\n")
        run = await self.ended()
        with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[]):
            self.assertFalse(run.is_signed())
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            self.assertTrue(run.is_signed())


class CommandTests(ChainCase):
    def call(self, *arguments) -> tuple[str, int]:
        out = StringIO()
        try:
            call_command(*arguments, stdout=out, stderr=out)
        except SystemExit as end:
            return out.getvalue(), end.code
        return out.getvalue(), 0

    async def test_verify_says_what_it_found_and_the_run_keeps_it(self):
        await self.record("one\n")
        run = await self.ended()
        await database.write(self.check, run)

    def check(self, run):
        out, code = self.call("verify", run.public_id)
        self.assertEqual((code, WHOLE in out), (0, True))
        self.assertEqual(self.fresh().check_found, WHOLE)
        Chunk.objects.of(run.pk).order_by().update(text="ONE\n")
        out, code = self.call("verify", "--all")
        self.assertEqual(code, 1)
        self.assertIn("not those that were recorded", out)
        with self.assertRaisesMessage(CommandError, "There is no run nope."):
            call_command("verify", "nope")
        with self.assertRaisesMessage(CommandError, "Say which"):
            call_command("verify")

    async def test_a_checkpoint_shows_what_was_deleted_since(self):
        await self.record("one\n")
        run = await self.ended()
        await database.write(self.check_kept, run)

    def check_kept(self, run):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "day"
            note(Action.LOGIN, self.alice, "127.0.0.1", size=1.5)
            path.write_text(self.call("checkpoint", "--day", f"{run.finished_at:%Y-%m-%d}")[0])
            self.assertEqual(self.call("verify", "--against", str(path))[1], 0)
            self.check_kept_events(path)
            Run.objects.filter(pk=run.pk).update(public_id="other")
            out, code = self.call("verify", "--against", str(path))
            self.assertEqual((code, f"{run.public_id}  The run is gone." in out), (1, True))
            written = path.read_text()
            for what, other in ((run.chain, "0" * 64), ('"day": "2', '"day": "3')):
                path.write_text(written.replace(what, other))
                with self.assertRaisesMessage(CommandError, "was changed"):
                    call_command("verify", "--against", str(path))

    async def test_a_run_that_somebody_made_go_on_is_told_and_so_is_its_new_end(self):
        await self.record("one\n")
        run = await self.ended()
        await database.write(self.check_gone_on, run)

    def check_gone_on(self, run):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "day"
            path.write_text(self.call("checkpoint", "--day", f"{run.finished_at:%Y-%m-%d}")[0])
            row = Run.objects.filter(pk=run.pk)
            row.update(status=Status.RUNNING)
            for how in (("--all",), ("--against", str(path))):
                out, code = self.call("verify", *how)
                self.assertEqual((code, "says now that it goes on" in out), (1, True), how)
            row.update(owner_name="bob", signature="")
            Run.objects.finish(self.fresh(), Status.FAILED)
            self.assertEqual(verify(self.fresh()).sentence, WHOLE)
            out, code = self.call("verify", "--against", str(path))
            self.assertEqual((code, "not the recording of the checkpoint" in out), (1, True))

    def check_kept_events(self, path: Path):
        """Later ones are no matter; one that was there and is changed or gone is told."""
        note(Action.VIEW, self.alice)
        self.assertEqual(self.call("verify", "--against", str(path))[1], 0)
        noted = AccessEvent.objects.earliest("pk")
        for change in (
            lambda: AccessEvent.objects.filter(pk=noted.pk).update(actor_name="bob"),
            lambda: AccessEvent.objects.filter(pk=noted.pk).update(
                at=noted.at - timedelta(hours=1)
            ),
            noted.delete,
        ):
            pk = noted.pk
            change()
            out, code = self.call("verify", "--against", str(path))
            self.assertEqual((code, "The access events of" in out), (1, True))
            noted.pk = pk
            noted.save()
        self.assertEqual(self.call("verify", "--against", str(path))[1], 0)
        # Who it was is told when the account is gone, too.
        self.alice.delete()
        self.assertEqual(self.call("verify", "--against", str(path))[1], 0)

    @override_settings(OUTPUT_CAP_BYTES=64 * 1024)
    async def test_the_script_of_readme_checks_an_export_by_itself(self):
        flood = ["x" * 1000 + "é\n" for _ in range(120)]
        await self.record(flood, *flood[:5])
        await self.ended()
        exported = await database.read(lambda: b"".join(export(self.fresh(), "ndjson")))
        key = signing.public_keys()[0]
        checked = run_script(exported, key)
        self.assertEqual((checked.returncode, WHOLE[1:-1] in checked.stdout), (0, True), checked)
        for wrong in (
            exported.replace(b'"text":"xx', b'"text":"yy', 1),
            b"\n".join(exported.split(b"\n")[:-2]) + b"\n",
            exported.replace(b'"owner":"alice"', b'"owner":"bobby"'),
        ):
            self.assertNotEqual(run_script(wrong, key).returncode, 0)


def run_script(exported: bytes, key: str):
    script = section("Proof that a recording is unchanged").split("```python\n")[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.ndjson"
        path.write_bytes(exported)
        return subprocess.run(
            [sys.executable, "-c", script.split("```")[0], str(path), key],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
