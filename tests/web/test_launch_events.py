import json
from itertools import pairwise

import orjson
from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from runs.models import STREAM_CODES
from runs.streaming.wire import Batch, chunk_json
from runs.web.launch_events import RESERVED, PythonView, StructuredView, View, event_name
from tests.sse_parser import SseParser
from tests.web.test_sse import TEXT, lf


def batch(*chunks) -> Batch:
    """Chunks given as (stream, text[, data[, task]])."""
    lines = []
    for seq, (stream, text, *rest) in enumerate(chunks, start=1):
        data, task = (*rest, None, 0)[:2] if len(rest) < 2 else rest
        lines.append(chunk_json((seq, 0, 0, STREAM_CODES[stream], task, text, data)))
    return Batch(1, len(lines), b"\n".join(lines))


def shown(view: View, *chunks) -> list[tuple[str, str]]:
    stream = b"".join(view.events("r", batch(*chunks)))
    return [(event.type, event.data) for event in SseParser().feed(stream)]


def event(text: str) -> tuple[str, str, str]:
    """An event chunk as the recorder stores it."""
    parsed = orjson.loads(text)
    if isinstance(parsed.get("type"), str):
        return "event", text + "\n", text
    return "event", text + "\n", json.dumps({**parsed, "type": "stage"})


class CommandTests(SimpleTestCase):
    def test_streams_keep_their_names_and_ids(self):
        chunks = batch(("stdout", "a\n"), ("stderr", "b"), event('{"type":"x"}'))
        events = SseParser().feed(b"".join(View().events("run", chunks)))
        self.assertEqual(
            [tuple(event) for event in events],
            [
                ("stdout", "a\n", "run:1"),
                ("stderr", "b", "run:2"),
                ("stdout", '{"type":"x"}\n', "run:3"),
            ],
        )

    def test_our_own_remarks_are_comments(self):
        parser = SseParser()
        remark = batch(("system", "a gap\ndata: forged\n"))
        self.assertEqual(parser.feed(b"".join(View().events("r", remark))), [])
        self.assertEqual(parser.comments, ["a gap", "data: forged"])

    @given(TEXT, st.lists(st.integers(0, 40), max_size=4))
    def test_text_cut_anywhere_comes_back_whole(self, text, cuts):
        edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
        parts = [text[a:b] for a, b in pairwise(edges) if b > a]
        received = shown(View(), *[("stdout", part) for part in parts]) if parts else []
        self.assertEqual("".join(data for _, data in received), lf(text))

    def test_a_crlf_is_only_joined_within_its_own_stream(self):
        received = shown(View(), ("stdout", "a\r"), ("stderr", "\n"), ("stdout", "\nb"))
        self.assertEqual(received, [("stdout", "a\n"), ("stderr", "\n"), ("stdout", "b")])


class PythonTests(SimpleTestCase):
    def test_each_stream_has_its_event(self):
        error = '{"name":"E","value":"v","traceback":"t"}'
        received = shown(
            PythonView(), ("stdout", "out\n"), event('{"type":"complete"}'), ("stderr", "warn"),
            ("result", "4", '{"text/plain":"4"}'), ("error", "Traceback", error),
        )  # fmt: skip
        self.assertEqual(
            received,
            [
                ("chunk", "out\n"), ("chunk", '{"type":"complete"}\n'), ("error_msg", "warn"),
                ("result", '{"text/plain":"4"}'), ("error_msg", error),
            ],
        )  # fmt: skip


class StructuredTests(SimpleTestCase):
    def test_events_are_sent_under_their_own_type(self):
        received = shown(
            StructuredView(),
            event('{"type":"progress","data":{"percent": 50}}'),
            event('{"type":"result","value":42}'),
            event('{"type":"none","data":null}'),
            event('{"stage":"load","status":"started"}'),
            ("stdout", "plain\n"),
            ("stderr", "warn\n"),
        )
        self.assertEqual(
            received,
            [
                ("progress", '{"percent":50}'), ("result", '{"type":"result","value":42}'),
                ("none", "null"), ("stage", '{"stage":"load","status":"started"}'),
                ("stdout", "plain\n"), ("stderr", "warn\n"),
            ],
        )  # fmt: skip

    def test_a_type_that_is_reserved_or_no_name_is_not_passed_through(self):
        for type, name in (
            ("complete", "program_complete"), ("error", "program_error"),
            ("run", "program_run"), ("message", "program_message"), ("open", "program_open"),
            ("ping", "program_ping"), ("x\ndata: forged", "program_event"),
            ("", "program_event"), ("ü", "program_event"), ("x" * 65, "program_event"),
            ("tool_use", "tool_use"), ("a.b-c_D9", "a.b-c_D9"), ("x\n", "program_event"),
        ):  # fmt: skip
            with self.subTest(type):
                line = json.dumps({"type": type, "data": {"a": 1}})
                self.assertEqual(shown(StructuredView(), event(line)), [(name, '{"a":1}')])

    @given(TEXT)
    def test_no_type_forges_an_event(self, type):
        name = event_name(type)
        self.assertNotIn(name, RESERVED)
        line = json.dumps({"type": type, "data": {"a": 1}}, ensure_ascii=False)
        self.assertEqual(shown(StructuredView(), event(line)), [(name, '{"a":1}')])

    def test_numbers_keep_their_digits(self):
        numbers = f"[{'1' * 40},0.1,1e+300]"
        line = '{"type":"x","data":' + numbers + "}"
        self.assertEqual(shown(StructuredView(), event(line)), [("x", numbers)])

    def test_json_with_a_bare_cr_between_its_tokens_stays_json(self):
        ((name, data),) = shown(StructuredView(), event('{"type":"x",\r"a":1}'))
        self.assertEqual((name, json.loads(data)), ("x", {"type": "x", "a": 1}))
