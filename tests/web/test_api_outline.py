import json
import time
from unittest import mock

from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from runs.fields import chunk_key
from runs.models import Chunk, Run, Status
from runs.streaming import marks
from runs.streaming.outline import outline
from tests.factories import make_run
from tests.people import make_user

from .api_case import ApiCase


def event(**body) -> dict:
    return {"text": json.dumps(body) + "\n", "stream": "event", "data": json.dumps(body)}


class OutlineTests(ApiCase):
    def outline(self, run, user=None, **query) -> dict:
        response = self.get(user or self.alice, f"/api/runs/{run.public_id}/outline", **query)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()

    def test_lines_and_chunks_over_time(self):
        run = make_run(self.alice, chunks=["a\nb\n", "c", "\n", "d\n" * 10])  # ends after 4 s
        shape = self.outline(run, buckets=4)
        self.assertEqual(
            shape,
            {
                "seconds": 4.0,
                "lines": 13,
                "last_seq": 4,
                "buckets": [
                    {"t": 0.0, "lines": 13, "chunks": 4},
                    {"t": 1.0, "lines": 0, "chunks": 0},
                    {"t": 2.0, "lines": 0, "chunks": 0},
                    {"t": 3.0, "lines": 0, "chunks": 0},
                ],
            },
        )

    def test_a_run_that_has_not_started_has_none(self):
        shape = self.outline(make_run(self.alice, Status.QUEUED))
        self.assertEqual(shape, {"seconds": 0.0, "lines": 0, "last_seq": 0, "buckets": []})

    def test_a_run_that_goes_on_lasts_until_now(self):
        run = make_run(self.alice, Status.RUNNING, chunks=["a\n"] * 5)
        shape = self.outline(run)
        self.assertGreater(shape["seconds"], 1_000)
        self.assertEqual(sum(bucket["lines"] for bucket in shape["buckets"]), 5)
        self.assertEqual(len(shape["buckets"]), 200)

    def test_bad_parameters_are_named_and_others_may_not_see_it(self):
        run = make_run(self.alice, chunks=["x"])
        for call, values in (("outline", {"buckets": "0"}), ("outline", {"buckets": "1001"}),
                             ("outline", {"x": "1"}), ("marks", {"after": "-1"}),
                             ("marks", {"limit": "0"}), ("marks", {"task": "1"})):  # fmt: skip
            response = self.get(self.alice, f"/api/runs/{run.public_id}/{call}", **values)
            self.assert_error(response, 400, "bad_request", next(iter(values)))
        for call in ("outline", "marks"):
            path = f"/api/runs/{run.public_id}/{call}"
            self.assertEqual(self.get(self.auditor, path).status_code, 200)
            self.assert_error(self.get(self.bob, path), 404, "not_found")
            self.assert_error(self.get(None, path), 401, "unauthorized")

    def test_of_a_long_log_it_is_quick(self):
        run = make_run(self.alice, chunks=["x\n"])
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
                "INSERT INTO runs_chunk (id, run_id, seq, t, line, stream, task, text, data) "
                "SELECT %s + i, %s, i, i * 10, i - 1, 'o', 0, 'line' || '\n', NULL FROM n",
                [chunk_key(run.pk, 0), run.pk],
            )
        Run.objects.update(last_seq=200_000, line_count=200_000)
        times = []
        for _ in range(5):
            began = time.process_time()
            shape = self.outline(run)
            times.append(time.process_time() - began)
        self.assertEqual(sum(bucket["lines"] for bucket in shape["buckets"]), 200_000)
        self.assertLess(max(b["lines"] for b in shape["buckets"][:-1]), 2_000)
        # Three times what it takes here.
        self.assertLess(min(times), 0.3)


class ExactTests(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=30),
        st.integers(1, 12),
        st.sets(st.integers(2, 20)),
    )
    def test_every_bucket_holds_what_was_printed_in_its_time(self, steps, buckets, hole):
        t, chunks = 0, []
        for gap, newlines in steps:
            t += gap * 100_000
            chunks.append({"text": "\n" * newlines, "t": t})
        run = make_run(make_user(f"u{time.perf_counter_ns()}"), chunks=chunks)
        shape = outline(run, buckets)
        length = shape["seconds"]
        self.assertGreaterEqual(round(length * 1e6), t)
        for number, bucket in enumerate(shape["buckets"]):
            edges = [round(length * n / buckets * 1e6) for n in (number, number + 1)]
            if number == buckets - 1:
                edges[1] = 10**12
            inside = [c["text"] for c in chunks if edges[0] <= c["t"] < edges[1]]
            self.assertEqual(
                (bucket["lines"], bucket["chunks"]), (len("".join(inside)), len(inside))
            )
        # What the cap dropped does not change where the rest lies, nor how much it was.
        hole = {seq for seq in hole if seq < len(chunks)}
        Chunk.objects.filter(run=run, seq__in=hole).delete()
        after = outline(run, buckets)
        for name in ("lines", "chunks"):
            self.assertEqual(
                sum(bucket[name] for bucket in after["buckets"]),
                sum(bucket[name] for bucket in shape["buckets"]),
            )


class MarkTests(ApiCase):
    def page(self, run, **query) -> dict:
        response = self.get(self.alice, f"/api/runs/{run.public_id}/marks", **query)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()

    def marks(self, *chunks, **query) -> list[tuple]:
        items = self.page(make_run(self.alice, chunks=chunks), **query)["items"]
        return [(mark["seq"], mark["kind"], mark["label"]) for mark in items]

    def test_what_stands_out(self):
        run = make_run(
            self.alice,
            chunks=[
                "plain\n",
                {"text": "no mark\n", "stream": "stderr"},
                event(type="tool_use", data={"name": "Bash", "input": {}}),
                {"text": "<Figure>", "stream": "result", "data": '{"image/png": "AAAA"}'},
                {"text": "tb\n", "stream": "error", "task": 2,
                 "data": '{"name": "ValueError", "value": "no"}'},
                {"text": "12 bytes\nwere dropped.\n", "stream": "system"},
                event(type="error", data={"message": "It broke."}),
                event(type="note", data={"x": 1}),
                event(type="result", data={"result": "done"}),
            ],
        )  # fmt: skip
        items = self.page(run)["items"]
        self.assertEqual(
            items[0],
            {"seq": 3, "t": 0.2, "line": 3, "task": 0, "kind": "tool", "label": "Bash"},
        )
        self.assertEqual(
            [(m["seq"], m["kind"], m["label"], m["task"]) for m in items[1:]],
            [
                (4, "result", "<Figure>", 0),
                (5, "error", "ValueError: no", 2),
                (6, "gap", "12 bytes were dropped.", 0),
                (7, "error", "It broke.", 0),
                (9, "result", "done", 0),
            ],
        )

    def test_a_stage_is_a_mark_when_its_status_changes(self):
        chunks = [event(stage="load", status="running", progress=n) for n in range(0, 100, 4)]
        chunks.append(event(stage="load", status="completed", progress=100))
        marks = self.marks(
            *chunks, event(type="status", data={"stage": "load", "status": "failed"})
        )
        self.assertEqual(marks[0], (1, "stage", "load"))
        self.assertEqual(
            marks[-2:], [(26, "stage", "load completed"), (27, "stage", "load failed")]
        )
        self.assertEqual([kind for _, kind, _ in marks[1:-2]], ["progress"] * 9)

    def test_progress_is_a_mark_when_it_passes_a_tenth(self):
        reports = [event(type="progress", data={"percent": n / 10}) for n in range(10, 1001)]
        self.assertEqual(
            self.marks(*reports)[:3],
            [(91, "progress", "10 %"), (191, "progress", "20 %"), (291, "progress", "30 %")],
        )
        both = [event(type="progress", data={"percent": p}) for _ in range(500) for p in (15, 95)]
        self.assertEqual(len(self.marks(*both)), 2)
        self.assertEqual(
            len(self.marks(*(event(type="p", current=n, total=9) for n in range(10)))), 9
        )

    def test_odd_events_are_no_marks_and_break_nothing(self):
        for body in (
            {"type": "progress", "data": None}, {"type": "progress", "data": [50]},
            {"type": "progress", "data": {"percent": True}}, {"type": 5, "stage": 7},
            {"type": "progress", "data": {"percent": 1e300}}, {"type": "x", "data": {"total": 0}},
            {"type": "progress", "percent": "50"}, {"type": "note"},
        ):  # fmt: skip
            with self.subTest(body):
                self.assertEqual(self.marks(event(**body)), [])
        ((_, _, label),) = self.marks(event(stage="s" * 9_000, status="t" * 9_000))
        self.assertLessEqual(len(label), marks.LABEL)
        big = event(type="result", data={"result": "x" * 100_000})
        self.assertEqual(self.marks(big), [])

    def test_pages_together_are_the_whole_also_when_asked_for_again(self):
        chunks = []
        for n in range(60):
            chunks.append(event(type="progress", data={"percent": n * 1.6}))
            chunks.append(event(stage="a" if n < 30 else "b", status="running"))
            chunks.append("x\n")
        run = make_run(self.alice, chunks=chunks)
        whole = self.page(run)["items"]
        self.assertEqual(len(whole), 11)
        with mock.patch.object(marks, "EXAMINED_MAX", 7):
            seen, after = [], 0
            while after is not None:
                page = self.page(run, after=after, limit=2)
                seen += page["items"]
                after = page["next"]
        self.assertEqual(seen, whole)
        # As a page that knows some of a run that goes on asks for the rest.
        for index, mark in enumerate(whole):
            self.assertEqual(self.page(run, after=mark["seq"])["items"], whole[index + 1 :])

    def test_a_hundred_thousand_events_are_few_marks_and_bounded_calls(self):
        run = make_run(self.alice, chunks=["x\n"])
        data = json.dumps({"type": "progress", "data": {"current": 1, "total": 3}})
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
                "INSERT INTO runs_chunk (id, run_id, seq, t, line, stream, task, text, data) "
                "SELECT %s + i, %s, i, i * 10, i - 1, 'v', 0, '{}', %s FROM n",
                [chunk_key(run.pk, 0), run.pk, data],
            )
        found, after, calls = [], 0, 0
        while after is not None:
            page = self.page(run, after=after)
            found += page["items"]
            after, calls = page["next"], calls + 1
        self.assertEqual(([m["label"] for m in found], calls), (["33 %"], 4))
