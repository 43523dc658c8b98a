import csv
import io
import json
from datetime import UTC, datetime

from django.contrib.auth import get_user_model
from django.test import TestCase

from runs.kinds import parse_spec
from runs.models import STREAM_CODES, Chunk, Run
from runs.streaming import exports
from runs.streaming.exports import FORMATS, export


def make_run(**fields) -> Run:
    owner = get_user_model().objects.create_user("alice")
    run = Run.objects.launch(owner, parse_spec({"kind": "command", "program": "echo hello"}))
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    Run.objects.filter(pk=run.pk).update(status="succeeded", started_at=started, **fields)
    run.refresh_from_db()
    return run


def store(run: Run, *chunks) -> Run:
    """Store (stream, text[, task[, data]]) tuples as the run's next chunks."""
    line = 0
    for seq, (stream, text, *rest) in enumerate(chunks, start=run.last_seq + 1):
        task, data = (*rest, 0, None)[:2] if len(rest) < 2 else rest
        Chunk.objects.create(
            run=run, seq=seq, t=seq * 100_000, line=line, stream=STREAM_CODES[stream],
            task=task, text=text, data=None if data is None else json.dumps(data),
        )  # fmt: skip
        line += text.count("\n")
        run.last_seq = seq
    run.save()
    return run


def text_of(run, format, **selection) -> str:
    return b"".join(export(run, format, **selection)).decode()


class JsonTests(TestCase):
    def test_ndjson_begins_with_the_run_and_holds_a_chunk_a_line(self):
        run = store(make_run(), ("stdout", "a\n"), ("result", "", 0, {"text/plain": "42"}))
        first, *chunks = map(json.loads, text_of(run, "ndjson").splitlines())
        self.assertEqual(first["id"], run.public_id)
        self.assertEqual(
            chunks,
            [
                {"seq": 1, "t": 0.1, "line": 0, "stream": "stdout", "task": 0, "text": "a\n",
                 "data": None},
                {"seq": 2, "t": 0.2, "line": 1, "stream": "result", "task": 0, "text": "",
                 "data": {"text/plain": "42"}},
            ],
        )  # fmt: skip

    def test_json_is_one_document_over_many_pages(self):
        run = store(make_run(), *[("stdout", f"{n}\n") for n in range(7)])
        with self.settings():
            self.addCleanup(setattr, exports, "PAGE_ROWS", exports.PAGE_ROWS)
            exports.PAGE_ROWS = 2
            document = json.loads(text_of(run, "json"))
        self.assertEqual([chunk["seq"] for chunk in document["chunks"]], [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(document["run"]["last_seq"], 7)

    def test_an_empty_log_is_a_valid_document_in_every_format(self):
        run = make_run()
        self.assertEqual(json.loads(text_of(run, "json"))["chunks"], [])
        self.assertEqual(len(text_of(run, "ndjson").splitlines()), 1)
        self.assertEqual(text_of(run, "txt"), "")
        self.assertEqual(text_of(run, "csv"), "seq,t,line,stream,task,text\r\n")
        self.assertEqual(len(text_of(run, "cast").splitlines()), 1)


class SelectionTests(TestCase):
    def seqs(self, run, **selection) -> list[int]:
        return [c["seq"] for c in json.loads(text_of(run, "json", **selection))["chunks"]]

    def test_range_stream_and_task_narrow_it(self):
        run = store(
            make_run(),
            ("stdout", "1", 1), ("stderr", "2", 1), ("stdout", "3", 2), ("event", "{}\n", 2),
        )  # fmt: skip
        self.assertEqual(self.seqs(run, first=2, last=3), [2, 3])
        self.assertEqual(self.seqs(run, streams=["stdout", "event"]), [1, 3, 4])
        self.assertEqual(self.seqs(run, task=2), [3, 4])
        self.assertEqual(self.seqs(run, first=4, last=2), [])

    def test_what_is_recorded_after_it_began_is_left_out(self):
        run = store(make_run(), ("stdout", "1"))
        pieces = export(run, "ndjson")
        next(pieces)
        store(Run.objects.get(pk=run.pk), ("stdout", "2"))
        self.assertEqual(json.loads(b"".join(pieces))["seq"], 1)

    def test_the_hole_of_the_output_cap_is_stepped_over(self):
        run = store(make_run(), *[("stdout", str(n)) for n in range(9)])
        Chunk.objects.filter(run=run, seq__range=(3, 7)).delete()
        self.assertEqual(self.seqs(run), [1, 2, 8, 9])

    def test_pages_without_a_match_still_give_the_thread_back(self):
        run = store(make_run(), *[("stdout", "x")] * 6, ("stderr", "!"))
        self.addCleanup(setattr, exports, "PAGE_ROWS", exports.PAGE_ROWS)
        exports.PAGE_ROWS = 2
        pieces = list(export(run, "txt", streams=["stderr"]))
        self.assertEqual(pieces, [b"", b"", b"", b"!"])


class MemoryTests(TestCase):
    def test_large_chunks_make_short_pages(self):
        run = store(make_run(), *[("stdout", "x" * 100_000)] * 8)
        pieces = list(export(run, "ndjson"))[1:]
        self.assertEqual([len(piece.splitlines()) for piece in pieces], [2, 2, 2, 2])


class TextTests(TestCase):
    def test_a_line_is_finished_before_another_streams_begins(self):
        run = store(
            make_run(), ("stdout", "half"), ("stderr", "oops\n"), ("stdout", "of it"),
            ("stdout", " whole\n"), ("event", '{"type":"x"}\n'), ("stdout", "end"),
        )  # fmt: skip
        self.assertEqual(text_of(run, "txt"), 'half\noops\nof it whole\n{"type":"x"}\nend')

    def test_tasks_are_kept_apart_as_streams_are(self):
        run = store(make_run(), ("stdout", "a", 1), ("stdout", "b", 2), ("stdout", "c", 2))
        self.assertEqual(text_of(run, "txt"), "a\nbc")

    def test_results_give_their_plain_text_and_remarks_give_none(self):
        run = store(
            make_run(),
            ("result", "", 0, {"text/plain": "41", "text/html": "<b>41</b>"}),
            ("result", "", 0, {"text/plain": "42"}),
            ("result", "", 0, {"image/png": "AAAA"}),
            ("system", "a gap\n"),
            ("error", "Traceback\n", 0, {"name": "E", "value": "v", "traceback": "t"}),
        )  # fmt: skip
        self.assertEqual(text_of(run, "txt"), "41\n42\nTraceback\n")


class CsvTests(TestCase):
    def test_any_text_survives(self):
        texts = ['say "hi", you\r\n', "=1+1\rbare", "ünï\n\n", ""]
        run = store(make_run(), *[("stdout", text) for text in texts])
        header, *rows = csv.reader(io.StringIO(text_of(run, "csv"), newline=""))
        self.assertEqual(header, ["seq", "t", "line", "stream", "task", "text"])
        self.assertEqual([row[5] for row in rows], texts)
        self.assertEqual(rows[1][:5], ["2", "0.200000", "1", "stdout", "0"])


class CastTests(TestCase):
    def test_output_is_written_as_a_terminal_gets_it(self):
        run = store(make_run(), ("stdout", "a\nb\n"), ("stderr", "e"), ("system", "no"))
        header, *events = map(json.loads, text_of(run, "cast").splitlines())
        self.assertEqual(
            (header["version"], header["width"], header["height"], header["timestamp"]),
            (2, 80, 24, 1767323045),
        )
        about = {"id": run.public_id, "last_seq": 3, "chain": "", "signature": ""}
        self.assertEqual(header["streamsite"], about)
        self.assertEqual(events, [[0.1, "o", "a\r\nb\r\n"], [0.2, "o", "e"]])

    def test_stages_become_markers_when_they_change(self):
        stages = [
            {"stage": "extract", "status": "started"},
            {"stage": "extract", "status": "started", "progress": 50},
            {"type": "stage", "data": {"stage": "load"}},
            {"type": "progress", "stage": "no marker"},
        ]
        run = store(make_run(), *[("event", json.dumps(s) + "\n", 0, s) for s in stages])
        events = [json.loads(line) for line in text_of(run, "cast").splitlines()[1:]]
        self.assertEqual([e[2] for e in events if e[1] == "m"], ["extract started", "load"])
        self.assertEqual(len([e for e in events if e[1] == "o"]), 4)


class FormatTableTests(TestCase):
    def test_every_format_has_a_type_and_an_unknown_one_is_refused(self):
        self.assertEqual(set(FORMATS), {"ndjson", "json", "txt", "cast", "csv"})
        with self.assertRaises(KeyError):
            export(make_run(), "pdf")
