"""How the API is described: shapes for the OpenAPI document, nothing that runs.

The answers themselves are written by streaming.wire, once for all readers.
"""

import re
from typing import Any, Literal

from django.conf import settings
from ninja import Schema
from pydantic import Field

from ..kinds import KINDS
from ..models import LIMITS, STREAM_CODES, Status
from ..streaming.exports import FORMATS

Kind = Literal[tuple(KINDS)]
StatusName = Literal[tuple(str(status.value) for status in Status)]
StreamName = Literal[tuple(STREAM_CODES)]


class Launch(Schema):
    """What to run."""

    kind: Kind
    program: str | list[str] = Field(
        description="A string; for parallel a list of commands; for agent the prompt."
    )
    mode: Literal["script", "notebook"] | None = Field(None, description="For python only.")
    language: str | None = None
    timeout: float | None = Field(
        settings.TIMEOUT_DEFAULT, ge=0, le=settings.TIMEOUT_MAX, description="Seconds; 0 for none."
    )
    env: dict[str, str] | None = Field(
        None, description="Secret: encrypted, masked in output, gone when the run ends."
    )
    plain_env: list[str] | None = Field(
        None, description="Names in env whose values are no secrets; they are kept and shown."
    )
    secrets: list[str] | None = Field(
        None, description="Names of your saved secrets, which join the environment."
    )
    cwd: str | None = None
    stdin: bool | None = False
    title: str | None = None


class Rerun(Schema):
    env: dict[str, str] | None = Field(
        None, description="Environment values; secret ones of an ended run are no longer kept."
    )
    plain_env: list[str] | None = None


class TaskOut(Schema):
    task: int
    program: str
    status: StatusName
    exit_code: int | None


class Dropped(Schema):
    from_seq: int
    to_seq: int
    chunks: int
    bytes: int
    chain_before: str | None = None
    chain_after: str | None = None


class OutputDeleted(Schema):
    at: str
    by: str
    reason: str


class Urls(Schema):
    page: str
    events: str
    websocket: str
    chunks: str
    cancel: str
    rerun: str
    export: str


class Run(Schema):
    id: str
    kind: Kind
    mode: str | None
    language: str | None
    cwd: str | None
    env: list[str] = Field(description="Names only.")
    plain_env: dict[str, str] = Field(description="The values that are no secrets.")
    secrets: list[str] = Field(description="Names of saved secrets among them.")
    masked: int = Field(description="How many times a secret was masked in the output.")
    stdin: bool
    status: StatusName
    title: str
    owner: str
    program: str | list[str]
    tasks: list[TaskOut]
    sandbox: str
    sandbox_id: str | None
    timeout: float
    created_at: str
    started_at: str | None
    finished_at: str | None
    duration: float | None
    exit_code: int | None
    exit_codes: list[int | None] | None
    error: str | None
    last_seq: int
    lines: int
    last_line: str
    stalled: bool
    waiting_for: str | None
    dropped: Dropped | None
    output_deleted: OutputDeleted | None = Field(description="Its output was deleted, and why.")
    chain: str | None = Field(description="The hash chain's value after the last chunk, in hex.")
    signature: str | None = Field(description="Ed25519, in base64; once the run has ended.")
    urls: Urls


class AccessEvent(Schema):
    at: str
    action: str
    actor: str | None
    address: str | None
    detail: dict


class Limit(Schema):
    name: Literal[LIMITS]
    limit: int | None = Field(description="null: as much as you want.")
    used: int
    room_at: str | None = Field(
        description="When there is room again: if it is used up, and time alone gives room."
    )


class Limits(Schema):
    limits: list[Limit]


class AccessPage(Schema):
    items: list[AccessEvent]
    next: str | None


class Chunk(Schema):
    seq: int
    t: float = Field(description="Seconds since started_at.")
    line: int = Field(description="Newlines in the run's text before this chunk.")
    stream: StreamName
    task: int
    text: str
    data: Any = Field(None, description="The event, the rich result or the error; else null.")


class RunPage(Schema):
    items: list[Run]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class ChunkPage(Schema):
    items: list[Chunk]
    last_seq: int
    next: int | None = Field(
        description="The last seq examined: send it as `after` (or `before`) for the next page. "
        "Null when nothing stored lies beyond. Items may be empty with `next` set."
    )
    status: StatusName
    output_deleted: OutputDeleted | None = Field(None, description="There only if it was.")


class Bucket(Schema):
    t: float = Field(description="Seconds since started_at at which it begins.")
    lines: int
    chunks: int


class Outline(Schema):
    seconds: float
    lines: int
    last_seq: int
    buckets: list[Bucket]


class Mark(Schema):
    seq: int
    t: float
    line: int
    task: int
    kind: Literal["stage", "progress", "tool", "result", "error", "gap"]
    label: str


class MarkPage(Schema):
    items: list[Mark]
    next: int | None = Field(description="Send it as `after` for the next page; null on the last.")


class Hit(Schema):
    """A line that holds what was looked for."""

    seq: int = Field(description="Of the chunk in which the line begins.")
    t: float
    line: int = Field(description="The line's number, counted from 1 over all streams.")
    stream: StreamName
    task: int
    text: str = Field(description="The line as it is seen, cut around the first place.")
    start: int = Field(description="Where in `text` the first place begins, in characters.")
    end: int
    ranges: list[list[int]] = Field(
        description="The first places in the whole line: where each begins and ends."
    )


class HitPage(Schema):
    items: list[Hit]
    next: int | None = Field(
        description="Send it as `after` (or `before`) to go on. Null when all was searched. "
        "Items may be empty with `next` set."
    )
    examined: int = Field(description="The last seq that was searched.")


class FoundRun(Schema):
    run: Run
    hits: list[Hit] = Field(description="The first lines that were found in it.")
    more: bool = Field(description="There may be more of them.")


class FoundPage(Schema):
    items: list[FoundRun]
    next: str | None = Field(description="The cursor to go on with; null when all was searched.")
    examined: int = Field(description="How many runs were searched.")


class ErrorDetail(Schema):
    code: str
    message: str
    fields: dict[str, str] | None = None


class Error(Schema):
    error: ErrorDetail


# --- what is served beside the API's own views ---------------------------------


def body(schema: type[Schema], required: bool = True) -> dict:
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


def _parameter(where: str, name: str, description: str, **schema) -> dict:
    return {
        "in": where,
        "name": name,
        "required": where == "path",
        "description": description,
        "schema": {"type": "string", **schema},
    }


def _call(name: str, summary: str, media: str, parameters=(), **more) -> dict:
    refused = {
        "description": "Refused",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            "200": {"description": "OK", "content": {media: {"schema": {"type": "string"}}}},
            "4XX": refused,
        },
        **more,
    }


_RUN = _parameter("path", "run_id", "The run's id.")
_LAST_ID = _parameter("header", "Last-Event-ID", "Set by EventSource on a reconnect.")
_SSE = "text/event-stream"


def _seq(name: str, description: str) -> dict:
    return _parameter("query", name, description, type="integer", minimum=0)


def extra_paths() -> dict:
    """Streams, exports and health: outside the API's views, in its document all the same."""
    events = [_RUN, _seq("after", "Send what follows this seq."), _LAST_ID]
    narrow = [
        _seq("from", "First seq."),
        _seq("to", "Last seq, inclusive."),
        _parameter("query", "stream", "Streams, separated by commas."),
        _seq("task", "Only this task."),
    ]
    command = _parameter("query", "command", "A shell command; else a demonstration runs.")
    python = [
        _parameter("query", "prompt", "Titles the demonstration."),
        _parameter("query", "code", "Python to run instead of the demonstration."),
    ]
    session = _parameter("path", "session_id", "What init answered.")
    prompt = {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"prompt": {"type": "string"}},
                        "required": ["prompt"],
                    }
                }
            },
        }
    }
    calls = {
        "/api/runs/{run_id}/events": ("get", "Follow a run as Server-Sent Events", _SSE, events),
        "/api/stream/command": ("get", "Launch a command and stream it", _SSE, [command, _LAST_ID]),
        "/api/stream/python": ("get", "Launch Python and stream it", _SSE, [*python, _LAST_ID]),
        "/api/stream/structured": ("get", "Stream structured events", _SSE, [_LAST_ID]),
        "/api/stream/agent": ("post", "Launch an agent and stream it", _SSE, [], prompt),
        "/api/stream/agent/init": (
            "post", "Prepare an agent run for EventSource", "application/json", [], prompt,
        ),
        "/api/stream/agent/{session_id}": (
            "get", "Launch or attach to a prepared agent run", _SSE, [session, _LAST_ID],
        ),
        "/health": ("get", "Whether the server can work", "application/json"),
    }  # fmt: skip
    for name, format in FORMATS.items():
        path = f"/api/runs/{{run_id}}/export.{name}"
        media = format.content_type.partition(";")[0]
        calls[path] = ("get", f"Download a run as {name}", media, [_RUN, *narrow])
    return {path: {call[0]: _described(path, *call)} for path, call in calls.items()}


def _described(path: str, method: str, summary: str, media: str, parameters=(), more=None) -> dict:
    words = [word for word in re.split(r"[/.]", path) if word and word != "api"]
    name = "_".join([method, *(word.strip("{}") for word in words)])
    extra = dict(more or {})
    if path == "/health":
        extra["security"] = []
    return _call(name, summary, media, parameters, **extra)
