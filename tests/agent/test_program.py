"""The program of the sandbox without its SDK: what it makes of messages."""

import io
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.test import SimpleTestCase

from runs.sandboxes.agent_main import LINE_BYTES, Conversation, Events, Refused


@dataclass
class TextBlock:
    text: str


@dataclass
class ThinkingBlock:
    thinking: str
    signature: str = ""


@dataclass
class ToolUseBlock:
    id: str
    name: str
    input: dict


@dataclass
class ToolResultBlock:
    tool_use_id: str
    content: Any
    is_error: bool | None = None


@dataclass
class AssistantMessage:
    content: Any
    parent_tool_use_id: str | None = None
    message_id: str | None = "m1"
    error: str | None = None


@dataclass
class UserMessage:
    content: Any
    parent_tool_use_id: str | None = None


@dataclass
class StreamEvent:
    event: dict
    parent_tool_use_id: str | None = None


@dataclass
class SystemMessage:
    subtype: str
    data: dict


@dataclass
class RateLimitEvent:
    rate_limit_info: Any


@dataclass
class ResultMessage:
    is_error: bool = False
    subtype: str = "success"
    result: str | None = "done"
    errors: list | None = None
    duration_ms: int = 5
    total_cost_usd: float | None = 0.01
    num_turns: int = 1
    usage: dict | None = None


def streamed(*texts: str, id="m1", parent=None) -> list[StreamEvent]:
    start = {"type": "message_start", "message": {"id": id}}
    block = {"type": "content_block_start", "content_block": {"type": "text"}}
    deltas = [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
        for text in texts
    ]
    return [StreamEvent(event, parent) for event in (start, block, *deltas)]


def printed(*messages, secrets=()) -> list[tuple[str, dict]]:
    out = io.BytesIO()
    conversation = Conversation(Events(out, secrets))
    for message in messages:
        conversation.take(message)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    return [(event["type"], event["data"]) for event in events]


class MessageTests(SimpleTestCase):
    def test_text_that_was_streamed_is_not_said_again(self):
        events = printed(*streamed("a", "b"), AssistantMessage([TextBlock("ab")]))
        self.assertEqual([data["text"] for _, data in events], ["a", "b"])

    def test_text_that_was_not_is_said_whole(self):
        other = AssistantMessage([ThinkingBlock("hm"), TextBlock("cd")], message_id="m2")
        events = printed(*streamed("ab"), other)
        self.assertEqual(
            events,
            [
                ("text", {"text": "ab", "block": 1}),
                ("thinking", {"thinking": "hm", "block": 2}),
                ("text", {"text": "cd", "block": 3}),
            ],
        )

    def test_subagents_keep_apart_from_their_agent(self):
        inner = streamed("inner", id="m2", parent="t1")
        outer = streamed("outer", "more")
        events = printed(*outer[:3], *inner, outer[3])
        blocks = [(d["text"], d["block"], d.get("parent_tool_use_id")) for _, d in events]
        self.assertEqual(blocks, [("outer", 1, None), ("inner", 2, "t1"), ("more", 1, None)])

    def test_whatever_a_subagent_does_is_marked(self):
        use = ToolUseBlock("t2", "Bash", {"command": "ls"})
        events = printed(
            AssistantMessage([use, TextBlock("a")], "t1"),
            UserMessage([ToolResultBlock("t2", "b")], "t1"),
        )
        self.assertEqual([type for type, _ in events], ["tool_use", "text", "tool_result"])
        self.assertEqual({data["parent_tool_use_id"] for _, data in events}, {"t1"})

    def test_thinking_comes_in_pieces_too(self):
        start, block, *_ = streamed("")
        deltas = [
            StreamEvent({"type": "content_block_delta", "delta": delta})
            for delta in (
                {"type": "thinking_delta", "thinking": "Let me"},
                {"type": "thinking_delta", "thinking": ""},
                {"type": "thinking_delta", "thinking": " see."},
                {"type": "signature_delta", "signature": "x"},
            )
        ]
        events = printed(start, block, *deltas, AssistantMessage([ThinkingBlock("Let me see.")]))
        self.assertEqual(
            events,
            [
                ("thinking", {"thinking": "Let me", "block": 1}),
                ("thinking", {"thinking": " see.", "block": 1}),
            ],
        )

    def test_a_stream_without_its_beginning(self):
        for left_out, block in ((1, 1), (2, 0)):
            events = printed(*streamed("a")[left_out:])
            self.assertEqual(events, [("text", {"text": "a", "block": block})])

    def test_contents_that_are_strings(self):
        events = printed(AssistantMessage("by the agent"), UserMessage("to the agent"))
        self.assertEqual(
            [(data["text"], data.get("role")) for _, data in events],
            [("by the agent", None), ("to the agent", "user")],
        )

    def test_tool_results_are_json(self):
        content = [{"type": "text", "text": "it's"}, {"type": "image", "source": {"data": "AA=="}}]
        events = printed(UserMessage([ToolResultBlock("t1", content, True)]))
        self.assertEqual(
            events,
            [("tool_result", {"tool_use_id": "t1", "content": content, "is_error": True})],
        )

    def test_tool_results_that_tell_of_no_error(self):
        without = SimpleNamespace(tool_use_id="t2", content={"type": "advisor_result"})
        events = printed(
            UserMessage([ToolResultBlock("t1", "x", None)]), AssistantMessage([without])
        )
        self.assertEqual([data["is_error"] for _, data in events], [False, False])

    def test_a_result_with_an_error_is_told_once(self):
        said = AssistantMessage([TextBlock("API Error: 529")], error="server_error")
        result = ResultMessage(is_error=True, result="API Error: 529")
        events = printed(said, result)
        self.assertEqual([type for type, _ in events], ["error_msg", "result"])
        self.assertEqual(events[0][1]["message"], "API Error: 529")
        self.assertTrue(events[1][1]["is_error"])

    def test_an_error_without_words(self):
        blocks = [ToolUseBlock("t2", "Bash", {})]
        [(type, data)] = printed(AssistantMessage(blocks, error="server_error"))
        self.assertEqual((type, data["message"]), ("error_msg", "server_error"))
        _, (type, data) = printed(ResultMessage(is_error=True, result=None))
        self.assertEqual((type, data["message"]), ("error_msg", "The agent ended with an error."))

    def test_errors_by_subtype_alone(self):
        result = ResultMessage(subtype="error_max_turns", result=None, errors=["Too many turns"])
        (_, data), (_, error) = printed(result)
        self.assertTrue(data["is_error"])
        self.assertEqual(error, {"error": "error_max_turns", "message": "Too many turns"})

    def test_a_refused_key_ends_it(self):
        for status in (401, 403):
            with self.assertRaisesMessage(Refused, f"HTTP {status}"):
                printed(SystemMessage("api_retry", {"error_status": status}))

    def test_a_retry_is_told(self):
        data = {"error": "overloaded", "attempt": 2, "max_retries": 9}
        for more, words in (({"error_status": 529}, "failed (HTTP 529)."), ({}, "API failed.")):
            [(_, told)] = printed(SystemMessage("api_retry", data | more))
            self.assertIn(f"{words} Trying again, 2 of 9.", told["message"])
            self.assertEqual((told["error"], told["retrying"]), ("overloaded", True))

    def test_messages_that_say_nothing(self):
        ping = StreamEvent({"type": "ping"})
        self.assertEqual(printed(SystemMessage("init", {}), RateLimitEvent({}), ping), [])


class SecretTests(SimpleTestCase):
    KEY = "sk-ant-0123456789"

    def said(self, *pieces: str, parent=None) -> tuple[str, list[str]]:
        out = io.BytesIO()
        conversation = Conversation(Events(out, [self.KEY]))
        for event in streamed(*pieces, parent=parent):
            conversation.take(event)
        conversation.take(StreamEvent({"type": "content_block_stop"}, parent))
        texts = [json.loads(line)["data"]["text"] for line in out.getvalue().splitlines()]
        return "".join(texts), texts

    def test_a_key_that_is_generated_in_pieces_is_masked(self):
        text = f"It is {self.KEY}, or {self.KEY[:8]}"
        masked = text.replace(self.KEY, "***")
        for cut in range(1, len(text)):
            for pieces in ((text[:cut], text[cut:]), tuple(text)):
                self.assertEqual(self.said(*pieces)[0], masked)

    def test_only_what_could_begin_a_key_waits(self):
        self.assertEqual(self.said("Hello", " s", "ir", ".")[1], ["Hello", " ", "sir", "."])
        self.assertEqual(self.said("ends in s", parent="tool")[1], ["ends in ", "s"])


class LineTests(SimpleTestCase):
    def line(self, secrets=(), **data) -> bytes:
        out = io.BytesIO()
        Events(out, secrets).emit("x", **data)
        self.assertEqual(out.getvalue().count(b"\n"), 1)
        return out.getvalue()

    def test_long_lines_stay_events(self):
        many = ["y" * 50] * 100_000
        for content in ("x" * 3_000_000, [{"text": "x" * 3_000_000}] * 3, ["x" * 9_999] * 500):
            line = self.line(content=content, tool_use_id="t1")
            self.assertLessEqual(len(line), LINE_BYTES + 1)
            data = json.loads(line)["data"]
            self.assertEqual((data["truncated"], data["tool_use_id"]), (True, "t1"))
        self.assertEqual(json.loads(self.line(content=many))["data"], {"truncated": True})

    def test_no_more_is_left_out_than_must_be(self):
        for content, limit in (
            (["x" * 600_000] * 3, 100_000),
            (["x" * 50_000] * 40, 10_000),
            (["x" * 9_999] * 500, 1_000),
        ):
            parts = json.loads(self.line(content=content))["data"]["content"]
            self.assertEqual(set(parts), {"x" * limit + "…"})

    def test_half_a_surrogate_pair_is_replaced(self):
        self.assertEqual(json.loads(self.line(text="a\ud800b"))["data"]["text"], "a?b")

    def test_secrets_are_masked(self):
        line = self.line(
            ['se"cret-value', "twice", ""], text='the se"cret-value, twice: se"cret-value'
        )
        self.assertEqual(json.loads(line)["data"]["text"], "the ***, twice: ***")
