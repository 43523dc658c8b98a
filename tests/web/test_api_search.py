from unittest import mock

from django.db import connection

from runs.fields import chunk_key
from runs.models import Chunk, Run, Status
from runs.streaming import searching
from runs.web import search
from tests.factories import make_chunks, make_run

from .api_case import ApiCase

HOSTILE = (
    "%", "_", "%%", "'", '"', "' OR 1=1 --", "\\", "\\n", "[a-z", "(", "*", "{{ x }}", "<b>",
    "\x1b", "\u202e", "😀", "é" * 200, " ",
)  # fmt: skip


class RunSearchTests(ApiCase):
    def search(self, run, q, user=None, **query) -> dict:
        path = f"/api/runs/{run.public_id}/search"
        response = self.get(user or self.alice, path, q=q, **query)
        self.assertEqual(response.status_code, 200, response.content[:500])
        return response.json()

    def lines(self, run, q, **query) -> list[int]:
        return [hit["line"] for hit in self.search(run, q, **query)["items"]]

    def refused(self, run, *fields, **query) -> str:
        response = self.get(self.alice, f"/api/runs/{run.public_id}/search", **query)
        return self.assert_error(response, 400, "bad_request", *fields)

    def test_a_hit_is_the_line_as_it_is_seen(self):
        run = make_run(
            self.alice,
            chunks=["one\n\x1b[31mERR", {"text": "other\n", "stream": "stderr"}, "OR\x1b[0m 7%\n"],
        )
        page = self.search(run, "error")
        self.assertEqual(
            page,
            {
                "items": [
                    {"seq": 1, "t": 0.0, "line": 2, "stream": "stdout", "task": 0,
                     "text": "ERROR 7%", "start": 0, "end": 5, "ranges": [[0, 5]]},
                ],
                "next": None,
                "examined": 3,
            },
        )  # fmt: skip

    def test_case_and_patterns(self):
        run = make_run(self.alice, chunks=["Warning 1\n", "warning 22\n", "Ärger\n"])
        for query, found in (
            ({"q": "WARNING"}, [1, 2]),
            ({"q": "Warning", "case": 1}, [1]),
            ({"q": "ä"}, [3]),
            ({"q": "^warning \\d$", "regex": 1}, [1]),
            ({"q": "^warning \\d+$", "regex": 1}, [1, 2]),
            ({"q": "^warning", "regex": 1, "case": 1}, [2]),
            ({"q": "g\\s*w", "regex": 1}, []),
            ({"q": "[^x]2", "regex": 1}, [2]),
            ({"q": ".r", "regex": 1}, [1, 2, 3]),
        ):
            with self.subTest(query):
                self.assertEqual(self.lines(run, **query), found)

    def test_by_stream_and_task(self):
        run = make_run(
            self.alice,
            chunks=[
                "x\n",
                {"text": "x\n", "stream": "stderr"},
                {"text": "x\n", "task": 2},
                {"text": '{"type": "x"}\n', "stream": "event", "data": '{"type": "x"}'},
            ],
        )
        for query, found in (
            ({}, [1, 2, 3, 4]),
            ({"stream": "stderr"}, [2]),
            ({"stream": "stdout,event"}, [1, 3, 4]),
            ({"stream": "event,stderr"}, [2, 4]),
            ({"task": 2}, [3]),
            ({"task": 2, "stream": "stderr"}, []),
        ):
            with self.subTest(query):
                self.assertEqual(self.lines(run, "x", **query), found)
                self.assertEqual(self.lines(run, "x", before=99, **query), found)

    def test_a_multi_line_block_is_one_row_and_one_hit(self):
        text = "Traceback\n  File x\nValueError: x\n"
        chunks = ["a\n", {"text": text, "stream": "error", "data": '{"name": "ValueError"}'}, "x\n"]
        items = self.search(make_run(self.alice, chunks=chunks), "x")["items"]
        self.assertEqual([(hit["line"], hit["text"]) for hit in items], [(2, "  File x"), (5, "x")])

    def test_overwritten_text_is_not_found_and_shown_characters_are(self):
        run = make_run(self.alice, chunks=["10%\r", "20%\r\n", "a\u202eb\x07\n", "x\r\n"])
        self.assertEqual(self.lines(run, "10%"), [])
        self.assertEqual(self.lines(run, "20%"), [1])
        self.assertEqual(self.lines(run, "U+202E"), [2])
        self.assertEqual(self.lines(run, "␇"), [2])
        self.assertEqual(self.lines(run, "x$", regex=1), [3])

    def test_a_long_line_is_searched_to_its_end(self):
        long = "a" * 30_000 + "needle" + "b" * 30_000
        for size in (1_000, 7_000, 60_006):
            chunks = [long[at : at + size] for at in range(0, len(long), size)]
            run = make_run(self.alice, chunks=["one\n", *chunks, "\n", "end\n"])
            for query in ({}, {"regex": 1}, {"before": 10_000}):
                with self.subTest(size=size, **query):
                    (hit,) = self.search(run, "needle", **query)["items"]
                    self.assertEqual((hit["seq"], hit["line"]), (2, 2))
                    self.assertLess(len(hit["text"]), 500)
                    self.assertEqual(hit["text"][hit["start"] : hit["end"]], "needle")

    def test_a_line_without_an_end_is_searched_in_pieces(self):
        chunks = ["x" * 60_000 for _ in range(40)]
        chunks[25] = "x" * 59_998 + "ne"
        chunks[26] = "edle" + chunks[26]
        run = make_run(self.alice, chunks=chunks)
        self.assertEqual(self.lines(run, "needle"), [1])
        self.assertEqual(self.lines(run, "needle", regex=1), [1])

    def test_paging_by_limit_and_by_what_was_examined(self):
        run = make_run(self.alice, chunks=[f"{n} {'hit' * (n % 7 == 0)}\n" for n in range(1, 61)])
        with mock.patch.object(searching, "EXAMINED_MAX", 10):
            lines, after, pages = [], 0, 0
            while after is not None:
                page = self.search(run, "HIT", after=after, limit=2)
                self.assertLessEqual(len(page["items"]), 2)
                lines += [hit["line"] for hit in page["items"]]
                after, pages = page["next"], pages + 1
            self.assertEqual(lines, [7, 14, 21, 28, 35, 42, 49, 56])
            self.assertGreaterEqual(pages, 6)
            page = self.search(run, "hit", before=60, limit=1)
            self.assertEqual(([hit["line"] for hit in page["items"]], page["next"]), ([56], 50))

    def test_readers_step_over_a_hole(self):
        run = make_run(self.alice, chunks=[f"hit {n}\n" for n in range(1, 11)])
        Chunk.objects.filter(run=run, seq__in=range(3, 8)).delete()
        self.assertEqual(self.lines(run, "hit"), [1, 2, 8, 9, 10])
        self.assertEqual(self.lines(run, "hit", before=9), [1, 2, 8])
        self.assertEqual(self.lines(run, "hit", after=4), [8, 9, 10])

    def test_what_a_live_run_prints_is_found_from_where_the_search_had_got_to(self):
        run = make_run(self.alice, Status.RUNNING, chunks=["hit 1\n", "and hi"])
        page = self.search(run, "hit")
        self.assertEqual((page["next"], page["examined"], len(page["items"])), (None, 2, 1))
        make_chunks(run, [{"text": "t 2\n", "line": 1}], first_seq=3)
        page = self.search(run, "hit", after=page["examined"])
        self.assertEqual([(hit["seq"], hit["line"]) for hit in page["items"]], [(2, 2)])

    def test_hostile_words_are_words(self):
        chunks = ["nothing\n", *(f"<{word}>\n" for word in HOSTILE[:-3] if word.isprintable())]
        run = make_run(self.alice, chunks=chunks)
        for word in HOSTILE:
            with self.subTest(word):
                for hit in self.search(run, word)["items"]:
                    self.assertEqual(hit["text"][hit["start"] : hit["end"]], word)
                self.search(run, word, before=99)
        self.assertEqual(self.lines(run, "%"), [2, 4])
        self.assertEqual(self.lines(run, "' OR 1=1 --"), [HOSTILE.index("' OR 1=1 --") + 2])

    def test_what_cannot_be_looked_for_is_refused_in_sentences(self):
        run = make_run(self.alice, chunks=["x\n"])
        for field, query in (
            ("q", {}),
            ("q", {"q": ""}),
            ("q", {"q": "a\0b"}),
            ("q", {"q": "x" * 10_000}),
            ("q", {"q": "a\nb"}),
            ("q", {"q": "(", "regex": 1}),
            ("q", {"q": "(a)\\1", "regex": 1}),
            ("q", {"q": "(?=a)", "regex": 1}),
            ("q", {"q": "a{999999999}", "regex": 1}),
            ("q", {"q": "(?:a{1000}){1000}", "regex": 1}),
            ("q", {"q": "(?:\\pL{1,9}){1,99}", "regex": 1}),
            ("q", {"q": "(?:a?){300}[^b]{300}c", "regex": 1}),
            ("q", {"q": "x*", "regex": 1}),
            ("q", {"q": "^", "regex": 1}),
            ("regex", {"q": "x", "regex": "yes"}),
            ("case", {"q": "x", "case": "2"}),
            ("after", {"q": "x", "after": "-1"}),
            ("limit", {"q": "x", "limit": "0"}),
            ("stream", {"q": "x", "stream": "nope"}),
            ("before", {"q": "x", "after": 1, "before": 2}),
            ("form", {"q": "x", "form": "1"}),
        ):
            with self.subTest(query):
                self.refused(run, field, **query)

    def test_a_pattern_that_would_try_for_ever_does_not(self):
        run = make_run(self.alice, chunks=["a" * 5_000 + "b\n" for _ in range(20)])
        for pattern in ("(a+)+$", "(a|aa)+$", "(.*)*c", "(a|a)*c", "(?:a?){100}c"):
            with self.subTest(pattern):
                self.assertEqual(self.lines(run, pattern, regex=1), [])

    def test_without_the_package_for_patterns_words_are_found(self):
        run = make_run(self.alice, chunks=["x\n"])
        with mock.patch.dict("sys.modules", {"re2": None}):
            self.assertIn("plain words", self.refused(run, "q", q="x", regex=1))
            self.assertEqual(self.lines(run, "x"), [1])

    def test_owner_auditor_and_superuser_search_a_log_and_others_do_not(self):
        run = make_run(self.alice, chunks=["x\n"])
        other = make_run(self.bob, chunks=["x\n"] * 9)
        path = f"/api/runs/{run.public_id}/search"
        for user in (self.alice, self.auditor, self.root):
            self.assertEqual(len(self.search(run, "x", user)["items"]), 1)
        self.assertEqual(len(self.search(other, "x", self.bob)["items"]), 9)
        self.assert_error(self.get(self.bob, path, q="x"), 404, "not_found")
        self.assert_error(self.get(None, path, q="x"), 401, "unauthorized")

    def test_a_long_log_of_short_lines_is_searched_in_few_calls(self):
        run = make_run(self.alice, chunks=["x\n"])
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
                "INSERT INTO runs_chunk (id, run_id, seq, t, line, stream, task, text, data) "
                "SELECT %s + i, %s, i, i * 10, i - 1, 'o', 0, 'line ' || i || '\n', NULL FROM n",
                [chunk_key(run.pk, 0), run.pk],
            )
        Run.objects.update(last_seq=100_000)
        lines, after, calls = [], 0, 0
        # As on a machine that is quick enough: each call ends by what it has examined.
        with mock.patch.object(searching, "SECONDS", 60):
            while after is not None:
                page = self.search(run, "line 77777", after=after)
                lines += [hit["line"] for hit in page["items"]]
                after, calls = page["next"], calls + 1
        self.assertEqual((lines, calls), ([77_777], 2))


class SearchTests(ApiCase):
    def search(self, user, q, **query) -> dict:
        response = self.get(user, "/api/search", q=q, **query)
        self.assertEqual(response.status_code, 200, response.content[:500])
        return response.json()

    def found(self, user, q, **query) -> list[str]:
        return [item["run"]["title"] for item in self.search(user, q, **query)["items"]]

    def test_the_newest_runs_that_printed_it_with_their_first_hits(self):
        make_run(self.alice, chunks=["needle\n"], title="old")
        make_run(self.alice, chunks=["nothing\n"], title="none")
        make_run(self.alice, title="silent")
        make_run(self.alice, chunks=[f"Needle {n}\n" for n in range(9)], title="many")
        page = self.search(self.alice, "needle")
        self.assertEqual([item["run"]["title"] for item in page["items"]], ["many", "old"])
        self.assertEqual([item["more"] for item in page["items"]], [True, False])
        self.assertEqual([hit["line"] for hit in page["items"][0]["hits"]], [1, 2, 3])
        self.assertEqual((page["next"], page["examined"]), (None, 3))
        self.assertEqual(page["items"][0]["run"]["program"], "echo hello")

    def test_the_filters_of_the_list_narrow_it(self):
        make_run(self.alice, chunks=["x\n"], title="a")
        make_run(self.alice, Status.FAILED, chunks=["X\n"], title="b", kind="python")
        make_run(self.bob, chunks=[{"text": "x\n", "stream": "stderr"}], title="c")
        for query, titles in (
            ({}, ["c", "b", "a"]),
            ({"status": "failed"}, ["b"]),
            ({"kind": "command"}, ["c", "a"]),
            ({"owner": "bob"}, ["c"]),
            ({"stream": "stderr"}, ["c"]),
            ({"case": 1}, ["c", "a"]),
            ({"regex": 1}, ["c", "b", "a"]),
            ({"created_before": "2020-01-01"}, []),
            ({"limit": 2}, ["c", "b"]),
        ):
            with self.subTest(query):
                self.assertEqual(self.found(self.auditor, "x", **query), titles)

    def test_only_runs_that_one_may_see(self):
        make_run(self.alice, chunks=["secret\n"], title="hers")
        make_run(self.bob, chunks=["secret\n"], title="his")
        self.assertEqual(self.found(self.alice, "secret"), ["hers"])
        self.assertEqual(self.found(self.bob, "secret"), ["his"])
        self.assertEqual(self.found(self.auditor, "secret"), ["his", "hers"])
        self.assert_error(self.get(None, "/api/search", q="x"), 401, "unauthorized")

    def test_following_next_finds_every_run_once_however_little_a_call_does(self):
        for n in range(6):
            text = "nothing\n" * 30 + f"needle {n}\n" * (n % 2) + "nothing\n" * 5
            make_run(self.alice, chunks=text.splitlines(keepends=True), title=f"{n}")
        with (
            mock.patch.object(searching, "EXAMINED_MAX", 10),
            mock.patch("runs.web.api_search.SECONDS", 0),
        ):
            titles, cursor, calls = [], "", 0
            while cursor is not None:
                page = self.search(self.alice, "needle", cursor=cursor)
                titles += [item["run"]["title"] for item in page["items"]]
                cursor, calls = page["next"], calls + 1
        self.assertEqual(titles, ["5", "3", "1"])
        self.assertGreater(calls, 12)

    def test_what_cannot_be_looked_for_is_refused_in_sentences(self):
        for field, query in (
            ("q", {}),
            ("q", {"q": "x" * 201}),
            ("q", {"q": "a\0"}),
            ("q", {"q": "[", "regex": 1}),
            ("cursor", {"q": "x", "cursor": "nope"}),
            ("cursor", {"q": "x", "cursor": "1.2.3"}),
            ("status", {"q": "x", "status": "odd"}),
            ("odd", {"q": "x", "odd": "1"}),
        ):
            with self.subTest(query):
                response = self.get(self.alice, "/api/search", **query)
                self.assert_error(response, 400, "bad_request", field)

    def test_each_run_shows_only_its_first_hits(self):
        make_run(self.alice, chunks=["x\n"] * (search.HITS + 1))
        (item,) = self.search(self.alice, "x")["items"]
        self.assertEqual((len(item["hits"]), item["more"]), (search.HITS, True))
