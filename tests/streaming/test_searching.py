"""Search in one run against a search that puts the whole log together first."""

import re
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from runs.models import STREAM_CODES
from runs.streaming import searching
from runs.streaming.needles import needle
from runs.streaming.searching import Search, search_after, search_before
from runs.web.lines import clean
from tests.factories import make_run
from tests.people import make_user

BLOCKS = ("event", "result", "error")


def naive(chunks, holds) -> list[tuple]:
    """(seq, line number, stream, task) of every line of which `holds` is true, by its end."""
    found, open_lines, newlines = [], {}, 0
    for seq, chunk in enumerate(chunks, 1):
        stream, task, text = chunk["stream"], chunk["task"], chunk["text"]
        if stream in BLOCKS:
            if any(holds(clean(line)) for line in text.split("\n")):
                found.append((seq, (seq, newlines + 1, stream, task)))
        else:
            for offset, piece in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text)):
                fresh = (seq, newlines + 1 + offset, stream, task)
                place, before = open_lines.pop((stream, task), (fresh, ""))
                if piece.endswith("\n"):
                    found += [(seq, place)] * holds(clean(before + piece))
                else:
                    open_lines[stream, task] = place, before + piece
        newlines += text.count("\n")
    ends = {}
    for seq, chunk in enumerate(chunks, 1):
        if chunk["text"]:
            ends[chunk["stream"], chunk["task"]] = seq
    found += [(ends[key], place) for key, (place, raw) in open_lines.items() if holds(clean(raw))]
    return [place for _, place in sorted(found, key=lambda item: item[0])]


def places(hits) -> list[tuple]:
    names = {code: name for name, code in STREAM_CODES.items()}
    return [(hit.seq, hit.line, names[hit.stream], hit.task) for hit in hits]


def asked(words, **more) -> Search:
    return Search(needle(words, **more), clean)


def all_after(run, search, limit=3, after=0) -> list:
    hits, page = [], None
    while page is None or page.next is not None:
        page = search_after(run.pk, after, search, limit)
        assert page.hits == sorted(page.hits, key=lambda hit: hit.last)
        hits += page.hits
        assert page.next is None or page.next > after
        after = page.next
    return hits


def all_before(run, search, limit=3, before=2**40) -> list:
    hits, page = [], None
    while page is None or page.next is not None:
        page = search_before(run.pk, before, search, limit)
        hits = page.hits + hits
        assert page.next is None or page.next < before
        before = page.next
    return hits


texts = st.text(alphabet="ab\n\rÉ\x1b[31m", max_size=8)
chunk_lists = st.lists(
    st.fixed_dictionaries(
        {
            "text": texts,
            "stream": st.sampled_from(("stdout", "stdout", "stderr", "event", "system")),
            "task": st.sampled_from((0, 0, 1)),
        }
    ),
    max_size=16,
)


class SearchCase(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.alice = make_user("alice")

    def run_of(self, *chunks, **fields):
        return make_run(self.alice, chunks=chunks, **fields)


class ExactTests(SearchCase):
    """Every page ends somewhere else, and all of them together are the log."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        chunks=chunk_lists,
        words=st.sampled_from(("a", "ab", "É", "b[", "aa", "m")),
        limit=st.integers(1, 4),
        rows=st.integers(1, 6),
        middle=st.integers(0, 17),
    )
    def test_every_line_once_in_both_directions_and_from_the_middle(
        self, chunks, words, limit, rows, middle
    ):
        run = self.run_of(*chunks)
        expected = naive(chunks, lambda line: words.lower() in line.lower())
        with (
            mock.patch.object(searching, "ROWS", rows),
            mock.patch.object(searching, "ROWS_FIRST", rows),
            mock.patch.object(searching, "EXAMINED_MAX", 2 * rows),
        ):
            search = asked(words)
            self.assertEqual(sorted(places(all_after(run, search, limit))), sorted(expected))
            self.assertEqual(sorted(places(all_before(run, search, limit))), sorted(expected))
            parts = all_before(run, search, limit, middle + 1) + all_after(
                run, search, limit, middle
            )
            self.assertEqual(sorted(places(parts)), sorted(expected))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(chunks=chunk_lists, rows=st.integers(1, 5), window=st.integers(1, 6))
    def test_a_line_that_goes_on_later_than_can_be_seen_is_searched_in_its_parts(
        self, chunks, rows, window
    ):
        run = self.run_of(*chunks)
        chunk_holds = {seq for seq, chunk in enumerate(chunks, 1) if "b" in chunk["text"]}
        with (
            mock.patch.object(searching, "ROWS", rows),
            mock.patch.object(searching, "EXAMINED_MAX", rows),
            mock.patch.object(searching, "WINDOW", window),
        ):
            hits = all_after(run, Search(needle("b"), lambda raw: raw.strip("\r\n")), 2)
        covered = {seq for hit in hits for seq in range(hit.seq, hit.last + 1)}
        self.assertLessEqual(chunk_holds, covered)

    def test_a_line_left_to_a_step_that_cannot_leave_it_on_is_not_lost(self):
        other = {"text": "x\n", "task": 1}
        run = self.run_of(other, "\n", "needle", other, other, " goes on\n")
        found = []
        with mock.patch.object(searching, "WINDOW", 3):
            for after, examined in ((0, 3), (3, 2), (5, 9)):
                with mock.patch.object(searching, "EXAMINED_MAX", examined):
                    page = search_after(run.pk, after, asked("needle"), 9)
                self.assertIn(page.next, (3, 5, None))
                found += places(page.hits)
        self.assertEqual(found, [(3, 3, "stdout", 0)])

    @settings(max_examples=40, deadline=None)
    @given(
        lines=st.lists(st.text(alphabet="abcİßςΣK é😀", max_size=6)),
        words=st.text("abσßé", min_size=1, max_size=2),
    )
    def test_where_in_the_line_it_is(self, lines, words):
        run = self.run_of("\n".join(lines))
        for hit in all_after(run, asked(words)):
            line = lines[hit.line - 1]
            for start, end in hit.ranges:
                self.assertEqual(line[start:end].casefold(), words.casefold())
            self.assertEqual(hit.text[hit.start : hit.end], line[slice(*hit.ranges[0])])
