import time
from unittest import mock, skipUnless

import orjson
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from runs.fields import chunk_key
from runs.models import Chunk, Run, Status
from runs.streaming import reading
from runs.web import api_chunks
from tests.factories import make_chunks, make_run

from .api_case import ApiCase


class ChunkCase(ApiCase):
    def page(self, run, user=None, **query) -> dict:
        response = self.get(user or self.alice, f"/api/runs/{run.public_id}/chunks", **query)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()

    def seqs(self, run, **query) -> list[int]:
        return [chunk["seq"] for chunk in self.page(run, **query)["items"]]


class PageTests(ChunkCase):
    def test_a_chunk_is_as_the_contract_has_it(self):
        event = {"text": '{"type": "x"}\n', "stream": "event", "data": '{"type": "x"}'}
        run = make_run(self.alice, chunks=["Line 1\n", event, {"text": "é\x1b", "task": 3}])
        page = self.page(run)
        self.assertEqual(
            page["items"],
            [
                {"seq": 1, "t": 0.0, "line": 0, "stream": "stdout", "task": 0,
                 "text": "Line 1\n", "data": None},
                {"seq": 2, "t": 0.1, "line": 1, "stream": "event", "task": 0,
                 "text": '{"type": "x"}\n', "data": {"type": "x"}},
                {"seq": 3, "t": 0.2, "line": 2, "stream": "stdout", "task": 3,
                 "text": "é\x1b", "data": None},
            ],
        )  # fmt: skip
        rest = {name: page[name] for name in page if name != "items"}
        self.assertEqual(rest, {"last_seq": 3, "next": None, "status": "succeeded"})

    def test_following_next_reads_every_chunk_once(self):
        run = make_run(self.alice, chunks=["x"] * 25)
        seen, after = [], 0
        while after is not None:
            page = self.page(run, after=after, limit=10)
            seen += [chunk["seq"] for chunk in page["items"]]
            after = page["next"]
        self.assertEqual(seen, list(range(1, 26)))

    def test_next_is_null_exactly_when_nothing_lies_beyond(self):
        run = make_run(self.alice, chunks=["x"] * 10)
        self.assertEqual(self.page(run, limit=9)["next"], 9)
        self.assertIsNone(self.page(run, limit=10)["next"])
        self.assertIsNone(self.page(run, limit=11)["next"])
        self.assertIsNone(self.page(run, after=10)["next"])
        self.assertEqual(self.page(run, after=2**63 - 1)["items"], [])

    def test_a_run_without_output(self):
        page = self.page(make_run(self.alice, Status.QUEUED))
        self.assertEqual(page, {"items": [], "last_seq": 0, "next": None, "status": "queued"})

    def test_what_was_stored_while_the_page_was_read_is_counted(self):
        run = make_run(self.alice, Status.RUNNING, chunks=["x"] * 3)
        make_chunks(run, ["y"] * 2, first_seq=4)  # the row was read a moment earlier
        page = self.page(run)
        self.assertEqual((len(page["items"]), page["last_seq"]), (5, 5))

    def test_before_gives_the_chunks_that_precede_and_pages_back_to_the_first(self):
        run = make_run(self.alice, chunks=["x"] * 25)
        self.assertEqual(self.seqs(run, before=10, limit=3), [7, 8, 9])
        seen, before = [], 2**63 - 1
        while before is not None:
            page = self.page(run, before=before, limit=10)
            seen = [chunk["seq"] for chunk in page["items"]] + seen
            before = page["next"]
        self.assertEqual(seen, list(range(1, 26)))
        self.assertEqual(self.page(run, before=1)["items"], [])
        self.assertEqual(self.page(run, before=0)["items"], [])

    def test_at_begins_with_the_first_chunk_of_that_time_or_later(self):
        run = make_run(self.alice, chunks=["x"] * 20)  # a tenth of a second apart
        for at, first in (("0", 1), ("0.1", 2), ("0.3", 4), ("0.35", 5), (".05", 2), ("1.9", 20)):
            with self.subTest(at):
                self.assertEqual(self.seqs(run, at=at)[0], first)
        self.assertEqual(self.seqs(run, at=2), [])
        self.assertEqual(self.seqs(run, at=1, limit=2), [11, 12])

    def test_at_finds_the_first_of_many_that_share_a_moment(self):
        run = make_run(self.alice, chunks=[{"text": "x", "t": n // 10} for n in range(50)])
        self.assertEqual(self.seqs(run, at="0.000002")[0], 21)

    def test_line_begins_with_the_chunk_in_which_it_begins(self):
        chunks = [
            "one\ntwo\nth",  # 1: lines 1 and 2, and the beginning of 3
            "ree\n",  # 2
            {"text": "four\n", "stream": "stderr"},  # 3
            "",  # 4
            "five, ",  # 5
            {"text": "six", "task": 2},  # 6
            "\n",  # 7
            "end",  # 8
        ]
        run = make_run(self.alice, chunks=chunks)
        firsts = {line: self.seqs(run, line=line)[:1] for line in range(1, 9)}
        self.assertEqual(firsts, {1: [1], 2: [1], 3: [1], 4: [3], 5: [4], 6: [8], 7: [], 8: []})

    def test_line_is_exact_wherever_chunks_are_cut(self):
        text = "".join(f"{n}" * (n % 4) + "\n" for n in range(40)) + "end"
        for size in (1, 2, 3, 5, 8, 13, 200):
            chunks = [text[at : at + size] for at in range(0, len(text), size)]
            run = make_run(self.alice, chunks=chunks)
            offset = 0
            for number, line in enumerate(text.split("\n"), 1):
                with self.subTest(size=size, line=number):
                    self.assertEqual(self.seqs(run, line=number)[0], offset // size + 1)
                offset += len(line) + 1

    def test_line_steps_over_a_hole_and_goes_with_filters(self):
        chunks = [f"{n}\n" for n in range(1, 11)]
        chunks[8] = {"text": "9\n", "stream": "stderr"}
        run = make_run(self.alice, chunks=chunks)
        Chunk.objects.filter(run=run, seq__in=range(3, 8)).delete()
        self.assertEqual([self.seqs(run, line=n)[0] for n in (2, 3, 7, 8, 9)], [2, 8, 8, 8, 9])
        self.assertEqual(self.seqs(run, line=2, stream="stderr"), [9])
        self.assertEqual(self.seqs(make_run(self.alice), line=1), [])

    def test_readers_step_over_a_hole(self):
        run = make_run(self.alice, chunks=["x"] * 10)
        Chunk.objects.filter(run=run, seq__in=range(3, 8)).delete()
        self.assertEqual(self.seqs(run), [1, 2, 8, 9, 10])
        self.assertEqual(self.seqs(run, before=9, limit=2), [2, 8])
        self.assertEqual(self.page(run, limit=2)["next"], 2)
        self.assertEqual(self.seqs(run, at="0.4"), [8, 9, 10])

    def test_a_page_of_large_chunks_ends_early_and_goes_on(self):
        run = make_run(self.alice, chunks=["x" * 1000] * 20)
        with mock.patch.object(api_chunks, "PAGE_BYTES", 5_000):
            forward = self.page(run)
            self.assertEqual((len(forward["items"]), forward["next"]), (5, 5))
            back = self.page(run, before=21)
            self.assertEqual((back["items"][0]["seq"], back["next"]), (16, 16))

    def test_bad_parameters_are_named(self):
        run = make_run(self.alice, chunks=["x"])
        number = ("-1", "x", "1.5", "1e3", "+1", "1_0", " 1", "٣", "0x1", str(2**63), "9" * 5000)
        for name, values in {
            "after": number,
            "before": number,
            "limit": (*number, "0", "5001"),
            "task": (*number, "32768"),
            "at": ("-1", "x", "nan", "inf", "-inf", "1e400", "1:30"),
            "line": (*number, "0"),
            "stream": ("stdin", "stdout,nope", "o"),
            "q": ("x" * 201, "a\0b"),
            "form": ("1",),
        }.items():
            for value in values:
                with self.subTest(name, value=value[:20]):
                    path = f"/api/runs/{run.public_id}/chunks"
                    refused = self.get(self.alice, path, **{name: value})
                    self.assert_error(refused, 400, "bad_request", name)

    def test_parameters_that_contradict_each_other_are_refused(self):
        path = f"/api/runs/{make_run(self.alice).public_id}/chunks"
        for query in (
            {"after": 0, "before": 5},
            {"after": 1, "at": 2},
            {"before": 1, "at": 2},
            {"line": 1, "after": 0},
        ):
            with self.subTest(query):
                response = self.get(self.alice, path, **query)
                self.assertEqual(response.status_code, 400)
                self.assertIn("only one of", response.json()["error"]["message"])

    def test_owner_auditor_and_superuser_read_a_log_and_others_do_not(self):
        run = make_run(self.alice, chunks=["x"])
        path = f"/api/runs/{run.public_id}/chunks"
        for user in (self.alice, self.auditor, self.root):
            self.assertEqual(len(self.page(run, user)["items"]), 1)
        self.assert_error(self.get(self.bob, path), 404, "not_found")
        self.assert_error(self.get(None, path), 401, "unauthorized")
        self.assert_error(self.get(self.root, "/api/runs/nope/chunks"), 404, "not_found")

    def test_one_runs_page_holds_nothing_of_another(self):
        run, other = make_run(self.alice, chunks=["x"] * 3), make_run(self.bob, chunks=["y"] * 9)
        self.assertEqual(self.seqs(run), [1, 2, 3])
        self.assertIsNone(self.page(run, limit=3)["next"])
        self.assertEqual(len(self.page(other, self.bob)["items"]), 9)


class FilterTests(ChunkCase):
    def test_by_stream_task_and_text(self):
        run = make_run(
            self.alice,
            chunks=[
                "Straße one\n",
                {"text": "oops\n", "stream": "stderr"},
                {"text": "TWO\n", "task": 2},
                {"text": "two again\n", "stream": "stderr", "task": 2},
            ],
        )
        for query, found in (
            ({"stream": "stderr"}, [2, 4]),
            ({"stream": "stdout,stderr"}, [1, 2, 3, 4]),
            ({"stream": ["stdout", "stderr"]}, [1, 2, 3, 4]),
            ({"stream": "system"}, []),
            ({"task": 2}, [3, 4]),
            ({"task": 0}, [1, 2]),
            ({"q": "two"}, [3, 4]),
            ({"q": "STRASSE"}, [1]),
            ({"q": "two", "stream": "stdout"}, [3]),
            ({"stream": "stderr", "after": 2}, [4]),
            ({"stream": "stderr", "before": 4}, [2]),
            ({"stream": "stderr", "at": "0.2"}, [4]),
            ({"stream": "", "q": "", "task": ""}, [1, 2, 3, 4]),
        ):
            with self.subTest(query):
                self.assertEqual(self.seqs(run, **query), found)

    def test_next_is_the_last_seq_examined(self):
        chunks = [{"text": "x", "stream": "stderr" if n % 5 == 0 else "stdout"} for n in range(50)]
        run = make_run(self.alice, chunks=chunks)  # stderr: 1, 6, 11 … 46
        page = self.page(run, stream="stderr", limit=3)
        self.assertEqual(([c["seq"] for c in page["items"]], page["next"]), ([1, 6, 11], 11))
        # What is beyond 46 does not fit, but it is stored: only a look tells.
        page = self.page(run, stream="stderr", after=11, limit=7)
        self.assertEqual((len(page["items"]), page["next"]), (7, 46))
        page = self.page(run, stream="stderr", after=46)
        self.assertEqual((page["items"], page["next"]), ([], None))

    def test_a_call_that_finds_nothing_stops_and_says_where(self):
        run = make_run(self.alice, chunks=["x"] * 50)
        with (
            mock.patch.object(api_chunks, "EXAMINED_MAX", 20),
            mock.patch.object(api_chunks, "SLICE", 7),
        ):
            steps, after = [], 0
            while after is not None:
                page = self.page(run, q="needle", after=after)
                self.assertEqual(page["items"], [])
                after = page["next"]
                steps.append(after)
            self.assertEqual(steps, [20, 40, None])
            self.assertEqual(self.page(run, q="needle", before=51)["next"], 31)

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's plan")
    def test_a_filter_without_stdout_reads_only_what_it_may_keep(self):
        chunks = [{"text": f"{n}\n", "stream": "system" if n % 9 else "event"} for n in range(30)]
        run = make_run(self.alice, chunks=["x\n"] * 200 + chunks + ["x\n"] * 200)
        for query, expected in (
            ({"stream": "event"}, [201, 210, 219, 228]),
            ({"stream": "event", "after": 210, "limit": 1}, [219]),
            ({"stream": "event,result", "before": 228, "limit": 2}, [210, 219]),
            ({"stream": "event", "q": "18"}, [219]),
            ({"stream": "error"}, []),
        ):
            with (
                self.subTest(query),
                mock.patch.object(api_chunks, "EXAMINED_MAX", 4),
                CaptureQueriesContext(connection) as asked,
            ):
                self.assertEqual(self.seqs(run, **query), expected)
            self.assertTrue(any("stream IN" in one["sql"] for one in asked))
        with connection.cursor() as cursor:
            query = reading._only("e", reading._RANGE)
            cursor.execute("EXPLAIN QUERY PLAN " + query, [0, 1, "e", 1])
            self.assertIn("chunk_marks_of_run", str(cursor.fetchall()))


class SpeedTests(ChunkCase):
    def test_a_page_asks_the_database_for_no_more_than_it_needs(self):
        run = make_run(self.alice, chunks=["x" * 10] * 3_000)
        client = Client()
        client.force_login(self.root)
        # That they read it is noted once.
        client.get(f"/api/runs/{run.public_id}/chunks", {"after": 1_000})
        # The session, its user, the run, the page, and whether there is more.
        with self.assertNumQueries(5):
            client.get(f"/api/runs/{run.public_id}/chunks", {"after": 1_000})

    def test_a_page_anywhere_in_a_long_log_is_quick(self):
        run = make_run(self.alice, chunks=["x" * 40 + "\n"])
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
                "INSERT INTO runs_chunk (id, run_id, seq, t, line, stream, task, text, data) "
                "SELECT %s + i, %s, i, i * 10, i, 'o', 0, 'a line of output ' || i, NULL FROM n",
                [chunk_key(run.pk, 0), run.pk],
            )
            if connection.vendor == "postgresql":
                # As its own housekeeping does, for what has been committed.
                cursor.execute("ANALYZE runs_chunk")
        Run.objects.update(last_seq=200_000)
        for query in (
            {"after": 0},
            {"after": 150_000},
            {"before": 200_000},
            {"at": 1.5},
            {"line": 150_000},
        ):
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                body = self.get(self.alice, f"/api/runs/{run.public_id}/chunks", **query).content
                times.append(time.perf_counter() - begun)
            self.assertEqual(len(orjson.loads(body)["items"]), 1_000)
            # Ten times what it takes here, so that a busy machine does not fail it.
            self.assertLess(min(times), 0.1, query)
