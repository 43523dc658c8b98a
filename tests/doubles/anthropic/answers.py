"""What the double answers: each is one content block, a list of them one message."""

import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

PIECE = 7  # characters of a delta: words are cut anywhere


@dataclass(frozen=True)
class Say:
    text: str
    piece: int = PIECE

    def begin(self) -> dict:
        return {"type": "text", "text": ""}

    def deltas(self) -> Iterator[dict]:
        for text in pieces(self.text, self.piece):
            yield {"type": "text_delta", "text": text}


@dataclass(frozen=True)
class Think:
    thinking: str

    def begin(self) -> dict:
        return {"type": "thinking", "thinking": "", "signature": ""}

    def deltas(self) -> Iterator[dict]:
        for text in pieces(self.thinking, PIECE):
            yield {"type": "thinking_delta", "thinking": text}
        yield {"type": "signature_delta", "signature": "c2lnbmF0dXJl"}


@dataclass(frozen=True)
class Use:
    """A tool call."""

    name: str
    input: dict
    id: str = field(default_factory=lambda: f"toolu_{secrets.token_hex(8)}")
    piece: int = PIECE

    def begin(self) -> dict:
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": {}}

    def deltas(self) -> Iterator[dict]:
        for text in pieces(json.dumps(self.input), self.piece):
            yield {"type": "input_json_delta", "partial_json": text}


@dataclass(frozen=True)
class Hold:
    """A text that stops before its last piece until it is let go."""

    text: str
    go: threading.Event = field(default_factory=threading.Event)

    begin = Say.begin

    def deltas(self) -> Iterator[dict]:
        *first, last = pieces(self.text, PIECE)
        for text in first:
            yield {"type": "text_delta", "text": text}
        self.go.wait(30)
        yield {"type": "text_delta", "text": last}


@dataclass(frozen=True)
class Fail:
    """A refused request. As the last answer it refuses all that follow."""

    status: int
    type: str
    message: str

    def body(self) -> dict:
        return {"type": "error", "error": {"type": self.type, "message": self.message}}


OVERLOADED = Fail(529, "overloaded_error", "Overloaded")
UNKNOWN_KEY = Fail(401, "authentication_error", "invalid x-api-key")


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def stream_of(blocks: list, model: str) -> Iterator[tuple[str, dict]]:
    """The named events of one streamed message."""
    usage = {"input_tokens": 12, "output_tokens": 1}
    yield "message_start", {"message": {**envelope(model), "usage": usage}}
    for index, block in enumerate(blocks):
        yield "content_block_start", {"index": index, "content_block": block.begin()}
        yield "ping", {}
        for delta in block.deltas():
            yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    delta = {"stop_reason": stop_reason(blocks), "stop_sequence": None}
    yield "message_delta", {"delta": delta, "usage": {**usage, "output_tokens": 34}}
    yield "message_stop", {}


def message_of(blocks: list, model: str) -> dict:
    """The same message for a request that wants no stream."""
    content = []
    for block in blocks:
        whole = block.begin()
        for name in ("text", "thinking", "input"):
            if hasattr(block, name):
                whole[name] = getattr(block, name)
        content.append(whole)
    usage = {"input_tokens": 12, "output_tokens": 34}
    more = {"content": content, "stop_reason": stop_reason(blocks), "usage": usage}
    return {**envelope(model), **more}


def envelope(model: str) -> dict:
    return {
        "id": f"msg_{secrets.token_hex(8)}", "type": "message", "role": "assistant",
        "model": model, "content": [], "stop_reason": None, "stop_sequence": None,
    }  # fmt: skip


def stop_reason(blocks: list) -> str:
    return "tool_use" if any(isinstance(block, Use) for block in blocks) else "end_turn"
