"""Event lines: any way of cutting the same output gives the same text and events."""

import itertools
import json

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.streaming.lines import EVENT, HELD_BYTES, EventLines, event_data


def drafts_of(pieces, task=0):
    lines = EventLines(task)
    found = [draft for n, piece in enumerate(pieces) for draft in lines.feed(piece, float(n))]
    return found + lines.end()


def events_of(drafts):
    return [(draft.text, draft.data) for draft in drafts if draft.stream == EVENT]


def plain_of(drafts):
    """Plain text between the events, joined as the recorder may join it."""
    runs = [""]
    for draft in drafts:
        if draft.stream == EVENT:
            runs.append("")
        else:
            runs[-1] += draft.text
    return runs


line = st.one_of(
    st.text(st.sampled_from('ab {}"\t\r:,[]é␀\\'), max_size=12),
    st.sampled_from(
        [
            '{"type": "progress", "data": {"percent": 50}}',
            '  {"type":"x"}',
            '\t{"stage": "load", "progress": null}',
            '{"type": "é", "n": 12345678901234567890123}',
            '{"type": 5, "stage": "s"}',
            '{"type": "broken"',
            '{"type": NaN}',
            '{"type": "\\ud800"}',
            '{"no": "event"}',
            "   ",
            "",
        ]
    ),
)
output = st.lists(st.tuples(line, st.sampled_from(["\n", "\n", "\r\n", ""]))).map(
    lambda parts: "".join(text + end for text, end in parts)
)


class CuttingTests(SimpleTestCase):
    @settings(max_examples=400, deadline=None)
    @given(output, st.lists(st.integers(0, 400), max_size=12))
    def test_any_cut_gives_the_same_text_and_events(self, text, cuts):
        edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
        pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
        whole, cut = drafts_of([text] if text else []), drafts_of(pieces)

        self.assertEqual("".join(draft.text for draft in cut), text)
        self.assertEqual(events_of(cut), events_of(whole))
        self.assertEqual(plain_of(cut), plain_of(whole))

    @settings(max_examples=100, deadline=None)
    @given(output)
    def test_every_event_is_a_whole_line(self, text):
        lines = text.splitlines(keepends=True) if "\r" not in text else None
        for line_text, data in events_of(drafts_of(list(text))):
            self.assertIsInstance(json.loads(data)["type"], str)
            if lines is not None:
                self.assertIn(line_text, lines)


class RecognitionTests(SimpleTestCase):
    def test_what_is_an_event(self):
        for text in (
            '{"type": "a"}\n',
            ' \t{"type": "a"} \r\n',
            '{"t\\u0079pe": "escaped name"}',
            '{"stage": "extract", "status": "started"}\n',
        ):
            with self.subTest(text):
                self.assertIsNotNone(event_data(text))

    def test_what_is_none(self):
        deep = '{"type": "a", "data": ' + "[" * 64 + "]" * 64 + "}"
        for text in (
            '{"type": "a"',
            '["type"]',
            '{"type": 5}',
            '{"type": "a", "n": NaN}',
            '{"type": "a", "n": Infinity}',
            '{"type": "\\udc00"}',
            "{'type': 'a'}",
            '{"type": "a"} {"type": "b"}',
            'x {"type": "a"}',
            deep,
        ):
            with self.subTest(text[:40]):
                self.assertIsNone(event_data(text))

    def test_sixty_four_levels_are_allowed(self):
        self.assertIsNotNone(event_data('{"type": "a", "data": ' + "[" * 63 + "]" * 63 + "}"))

    def test_a_stage_without_a_type_gets_the_type_stage(self):
        data = json.loads(event_data('{"stage": "load", "progress": 5}\n'))
        self.assertEqual(data, {"stage": "load", "progress": 5, "type": "stage"})

    def test_the_programs_own_number_keeps_its_digits(self):
        self.assertIn(
            "12345678901234567890123", event_data('{"type": "n", "v": 12345678901234567890123}')
        )


class HoldingTests(SimpleTestCase):
    def test_plain_text_is_not_held(self):
        lines = EventLines(0)
        self.assertEqual([d.text for d in lines.feed("no newline yet", 1.0)], ["no newline yet"])
        self.assertIsNone(lines.deadline)

    def test_a_brace_in_the_middle_of_a_line_is_plain(self):
        lines = EventLines(0)
        self.assertEqual([d.text for d in lines.feed("dict: ", 1.0)], ["dict: "])
        self.assertEqual([d.text for d in lines.feed('{"type": "a"}\n', 2.0)], ['{"type": "a"}\n'])

    def test_an_event_carries_the_time_of_its_first_byte(self):
        lines = EventLines(3)
        self.assertEqual(lines.feed('{"type":', 1.0), [])
        self.assertEqual(lines.deadline, 2.0)
        (event,) = lines.feed(' "a"}\n', 1.5)
        self.assertEqual((event.task, event.stream, event.at), (3, EVENT, 1.0))
        self.assertIsNone(lines.deadline)

    def test_a_line_released_early_is_stdout_to_its_newline(self):
        lines = EventLines(0)
        lines.feed('{"type":', 1.0)
        released = lines.release() + lines.feed(' "a"}\n{"type": "b"}\n', 3.0)
        self.assertEqual([d.text for d in released if d.stream != EVENT], ['{"type":', ' "a"}\n'])
        self.assertEqual([d.text for d in released if d.stream == EVENT], ['{"type": "b"}\n'])

    def test_a_line_that_never_ends_is_given_out_after_a_mebibyte(self):
        lines = EventLines(0)
        self.assertEqual(lines.feed("{" + "x" * (HELD_BYTES - 1), 1.0), [])
        (released,) = lines.feed("é", 1.0)
        self.assertEqual(len(released.text), HELD_BYTES + 1)
        self.assertIsNone(lines.deadline)

    def test_a_longer_line_is_no_event_even_if_it_comes_in_one_piece(self):
        text = '{"type": "' + "x" * HELD_BYTES + '"}\n'
        self.assertEqual(events_of(drafts_of([text])), [])

    def test_an_unterminated_last_line_is_still_an_event(self):
        (event,) = drafts_of(['{"type": "complete"}'])
        self.assertEqual(event.stream, EVENT)
