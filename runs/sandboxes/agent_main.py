"""What an agent run runs in its sandbox: Claude works on a prompt, one JSON event a line.

Only its text is used by the server; it needs claude-agent-sdk where it runs and nothing
of ours. The prompt is in the environment, cut into STREAMSITE_PROMPT_1, _2 … because
the kernel takes no single value of its length. Events are {"type", "data"}:

start {prompt} · text {text, block} · thinking {thinking, block} · tool_use {id, name, input}
· tool_result {tool_use_id, content, is_error} · result {result, is_error, subtype,
duration_ms, cost, num_turns, usage} · error_msg {error, message} · complete {status}

text and thinking come in pieces, as they are generated: those of one `block` belong
together. What a subagent does has its `parent_tool_use_id`, what was said to the agent
meanwhile the `role` "user". Exits with 0 only after a result that is no error.
"""

import asyncio
import json
import os
import sys
from contextlib import aclosing
from pathlib import Path

# A longer line would be recorded as plain text and no event (the limit is 1 MiB).
LINE_BYTES = 1_000_000
# The SDK gives up at 1 MiB for a line of its own otherwise; tools return more.
MESSAGE_BYTES = 256 * 1024**2
SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
# Nothing but the model's API is called, and the sandbox is what keeps the agent in.
SURROUNDINGS = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "IS_SANDBOX": "1",
}


def take_prompt() -> str:
    """The prompt, which then leaves the environment: tools need not inherit it."""
    parts: list[str] = []
    while (part := os.environ.pop(f"STREAMSITE_PROMPT_{len(parts) + 1}", None)) is not None:
        parts.append(part)
    return "".join(parts)


class Refused(Exception):
    """The model's API will not have us; a sentence for people."""


class Events:
    """Prints events and keeps the server's key out of what is printed."""

    def __init__(self, out, secrets):
        self._out = out
        self._values = [secret for secret in secrets if len(secret) >= 8]
        self._secrets = [json.dumps(secret)[1:-1] for secret in self._values]

    def emit(self, type: str, **data) -> None:
        line = self._encoded(type, data)
        for limit in (100_000, 10_000, 1_000):
            if len(line) <= LINE_BYTES:
                break
            line = self._encoded(type, {**shortened(data, limit), "truncated": True})
        if len(line) > LINE_BYTES:
            line = self._encoded(type, {"truncated": True})
        self._out.write(line + b"\n")
        self._out.flush()

    def _encoded(self, type: str, data: dict) -> bytes:
        event = {"type": type, "data": data}
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        return self.masked(line).encode(errors="replace")

    def masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def split(self, text: str) -> tuple[str, str]:
        """Text that goes on: masked, and the tail of it that could begin a secret."""
        for secret in self._values:
            text = text.replace(secret, "***")
        lengths = [
            length
            for secret in self._values
            for length in range(1, min(len(secret), len(text) + 1))
            if text.endswith(secret[:length])
        ]
        cut = len(text) - max(lengths, default=0)
        return text[:cut], text[cut:]


def shortened(value, limit: int):
    if isinstance(value, str):
        return value if len(value) <= limit else value[:limit] + "…"
    if isinstance(value, dict):
        return {key: shortened(item, limit) for key, item in value.items()}
    return [shortened(item, limit) for item in value] if isinstance(value, list) else value


class Conversation:
    """Turns the SDK's messages into events, each thing said once."""

    def __init__(self, events: Events):
        self._events = events
        self._blocks = 0
        self._said_errors: set[str] = set()
        # By the tool call it belongs to (None: the agent itself): the id of the message
        # being generated and the number of its block.
        self._generating: dict[str | None, tuple[str, int]] = {}
        self._streamed: set[str] = set()
        # What was generated and not yet printed, since a secret might begin in it; by
        # the tool call and the block it belongs to, and its kind.
        self._tails: dict[tuple[str | None, int, str], str] = {}
        self.succeeded: bool | None = None  # None: no result yet

    def take(self, message) -> None:
        name = type(message).__name__
        if name == "StreamEvent":
            self._partial(message.event, message.parent_tool_use_id)
        elif name == "AssistantMessage":
            self._assistant(message)
        elif name == "UserMessage":
            self._content(message, seen=False, role="user")
        elif name == "ResultMessage":
            self._result(message)
        elif getattr(message, "subtype", "") == "api_retry":
            self._retry(message.data)

    def _partial(self, event: dict, parent: str | None) -> None:
        if event["type"] == "message_start":
            self._generating[parent] = (event["message"]["id"], 0)
        elif event["type"] == "content_block_start":
            message_id, _ = self._generating.get(parent, ("", 0))
            self._generating[parent] = (message_id, self._next_block())
        elif event["type"] == "content_block_delta":
            message_id, block = self._generating.get(parent, ("", 0))
            delta = event["delta"]
            kind = {"text_delta": "text", "thinking_delta": "thinking"}.get(delta["type"])
            if kind and delta[kind]:
                self._streamed.add(message_id)
                self._generated(parent, block, kind, delta[kind])
        elif event["type"] == "content_block_stop":
            self._flush(parent)

    def _generated(self, parent: str | None, block: int, kind: str, text: str) -> None:
        """Text comes in pieces of any length, so a secret may be cut by them."""
        key = parent, block, kind
        text, tail = self._events.split(self._tails.pop(key, "") + text)
        if tail:
            self._tails[key] = tail
        if text:
            self._events.emit(kind, **{kind: text}, block=block, **of(parent))

    def _flush(self, parent: str | None) -> None:
        """Print what was held back: nothing follows, so it was no secret."""
        for key in [key for key in self._tails if key[0] == parent]:
            _, block, kind = key
            self._events.emit(kind, **{kind: self._tails.pop(key)}, block=block, **of(parent))

    def flush(self) -> None:
        for parent in {key[0] for key in self._tails}:
            self._flush(parent)

    def _assistant(self, message) -> None:
        self._flush(message.parent_tool_use_id)
        if error := message.error:
            text = "".join(getattr(block, "text", "") for block in blocks_of(message))
            self._error(error, text or error)
            return
        self._content(message, seen=message.message_id in self._streamed)

    def _content(self, message, seen: bool, **more) -> None:
        """`seen`: its text was printed as it was generated."""
        more |= of(message.parent_tool_use_id)
        for block in blocks_of(message):
            if isinstance(block, str):
                self._events.emit("text", text=block, block=self._next_block(), **more)
            elif hasattr(block, "tool_use_id"):
                self._tool_result(block, more)
            elif hasattr(block, "input"):
                self._events.emit(
                    "tool_use", id=block.id, name=block.name, input=block.input, **more
                )
            elif not seen:
                kind = "thinking" if hasattr(block, "thinking") else "text"
                said = {kind: getattr(block, kind)}
                self._events.emit(kind, **said, block=self._next_block(), **more)

    def _tool_result(self, block, more: dict) -> None:
        more = {name: value for name, value in more.items() if name != "role"}
        self._events.emit(
            "tool_result", tool_use_id=block.tool_use_id, content=block.content,
            is_error=bool(getattr(block, "is_error", False)), **more,
        )  # fmt: skip

    def _result(self, message) -> None:
        failed = message.is_error or message.subtype != "success"
        self.succeeded = not failed
        self._events.emit(
            "result", result=message.result, is_error=failed, subtype=message.subtype,
            duration_ms=message.duration_ms, cost=message.total_cost_usd,
            num_turns=message.num_turns, usage=message.usage,
        )  # fmt: skip
        if failed:
            errors = " ".join(message.errors or [])
            reason = message.result or errors or "The agent ended with an error."
            self._error(message.subtype, reason)

    def _retry(self, data: dict) -> None:
        if data.get("error_status") in (401, 403):
            # It would be refused for minutes, again and again.
            raise Refused(
                f"The model's API refused the key (HTTP {data['error_status']}). "
                "Check ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL."
            )
        status = f" (HTTP {data['error_status']})" if data.get("error_status") else ""
        self._events.emit(
            "error_msg", error=data.get("error"), retrying=True, attempt=data.get("attempt"),
            message=f"The model's API failed{status}. "
            f"Trying again, {data.get('attempt')} of {data.get('max_retries')}.",
        )  # fmt: skip

    def fail(self, error: str, message: str) -> None:
        """What went wrong outside the conversation."""
        self.succeeded = False
        self._error(error, message)

    def _error(self, error: str, message: str) -> None:
        # The last answer and the result after it tell of the same failure.
        if message not in self._said_errors:
            self._said_errors.add(message)
            self._events.emit("error_msg", error=error, message=message)

    def _next_block(self) -> int:
        self._blocks += 1
        return self._blocks


def of(parent: str | None) -> dict:
    return {"parent_tool_use_id": parent} if parent else {}


def blocks_of(message) -> list:
    """The content's blocks; a content that is a string is one."""
    return message.content if isinstance(message.content, list) else [str(message.content)]


async def converse(prompt: str, conversation: Conversation, on_stderr) -> None:
    from claude_agent_sdk import ClaudeAgentOptions, query

    options = ClaudeAgentOptions(
        cwd=os.getcwd(),
        system_prompt={"type": "preset", "preset": "claude_code"},
        permission_mode="bypassPermissions",
        setting_sources=[],
        include_partial_messages=True,
        max_buffer_size=MESSAGE_BYTES,
        stderr=on_stderr,
    )
    async with aclosing(query(prompt=prompt, options=options)) as messages:
        async for message in messages:
            conversation.take(message)


def main() -> int:
    own = Path(__file__)
    if own.name == "main.py":
        own.unlink(missing_ok=True)  # the agent's directory begins empty
    prompt = take_prompt()
    for name, value in SURROUNDINGS.items():
        os.environ.setdefault(name, value)
    events = Events(sys.stdout.buffer, [os.environ.get(name, "") for name in SECRETS])
    conversation = Conversation(events)
    events.emit("start", prompt=prompt)
    try:
        asyncio.run(
            converse(prompt, conversation, lambda line: print(events.masked(line), file=sys.stderr))
        )
    except ImportError as error:
        conversation.fail("not_installed", f"claude-agent-sdk cannot be used here: {error}.")
    except Refused as error:
        conversation.fail("authentication_failed", str(error))
    except Exception as error:
        # After an error result the SDK raises the same once more.
        if conversation.succeeded is not False:
            conversation.fail(type(error).__name__, str(error))
    conversation.flush()
    if conversation.succeeded is None:
        conversation.fail("no_result", "The agent ended without a result.")
    events.emit("complete", status="success" if conversation.succeeded else "failed")
    return 0 if conversation.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
