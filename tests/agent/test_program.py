"""The program of the sandbox without its SDK: what it makes of messages."""

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.test import SimpleTestCase

from runs.sandboxes import agent_main
from runs.sandboxes.agent_main import LINE_BYTES, Conversation, Events, Refused


@dataclass
class TextBlock:
    text: str


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
        other = AssistantMessage([TextBlock("cd")], message_id="m2")
        events = printed(*streamed("ab"), other)
        self.assertEqual(
            events, [("text", {"text": "ab", "block": 1}), ("text", {"text": "cd", "block": 2})]
        )

    def test_subagents_keep_apart_from_their_agent(self):
        inner = streamed("inner", id="m2", parent="t1")
        outer = streamed("outer", "more")
        events = printed(*outer[:3], *inner, outer[3])
        blocks = [(d["text"], d["block"], d.get("parent_tool_use_id")) for _, d in events]
        self.assertEqual(blocks, [("outer", 1, None), ("inner", 2, "t1"), ("more", 1, None)])

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

    def test_a_result_with_an_error_is_told_once(self):
        said = AssistantMessage([TextBlock("API Error: 529")], error="server_error")
        result = ResultMessage(is_error=True, result="API Error: 529")
        events = printed(said, result)
        self.assertEqual([type for type, _ in events], ["error_msg", "result"])
        self.assertEqual(events[0][1]["message"], "API Error: 529")

    def test_errors_by_subtype_alone(self):
        result = ResultMessage(subtype="error_max_turns", result=None, errors=["Too many turns"])
        (_, data), (_, error) = printed(result)
        self.assertTrue(data["is_error"])
        self.assertEqual(error, {"error": "error_max_turns", "message": "Too many turns"})

    def test_a_refused_key_ends_it(self):
        with self.assertRaisesMessage(Refused, "HTTP 401"):
            printed(SystemMessage("api_retry", {"error_status": 401}))

    def test_messages_that_say_nothing(self):
        ping = StreamEvent({"type": "ping"})
        self.assertEqual(printed(SystemMessage("init", {}), ping), [])


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

    def test_half_a_surrogate_pair_is_replaced(self):
        self.assertEqual(json.loads(self.line(text="a\ud800b"))["data"]["text"], "a?b")

    def test_secrets_are_masked(self):
        line = self.line(['se"cret-value'], text='the se"cret-value, twice: se"cret-value')
        self.assertEqual(json.loads(line)["data"]["text"], "the ***, twice: ***")


class MainTests(SimpleTestCase):
    def run_program(self, *flags) -> tuple[int, list[dict]]:
        done = subprocess.run(
            [sys.executable, *flags, agent_main.__file__],
            env={"STREAMSITE_PROMPT_1": "Do ", "STREAMSITE_PROMPT_2": "it."},
            capture_output=True, timeout=30,
        )  # fmt: skip
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def test_without_its_sdk_it_says_so(self):
        code, (start, error, complete) = self.run_program("-S")
        self.assertEqual(code, 1)
        self.assertEqual(start, {"type": "start", "data": {"prompt": "Do it."}})
        self.assertEqual(error["data"]["error"], "not_installed")
        self.assertEqual(complete, {"type": "complete", "data": {"status": "failed"}})
        self.assertTrue(Path(agent_main.__file__).exists())
