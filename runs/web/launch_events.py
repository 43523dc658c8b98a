"""Which event a chunk becomes on /api/stream/…: one View per endpoint."""

import json
import re
from collections.abc import Iterator

import orjson

from ..streaming.wire import Batch
from .sse import comment, message

# EventSource and the stream itself have their own meaning for these.
RESERVED = {"run", "error", "open", "message", "complete", "ping"}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_PREFIX = "program_"


def event_name(type: str) -> str:
    """The name under which a program's event of this type is sent, never passed raw."""
    if type in RESERVED:
        return _PREFIX + type
    return type if _NAME.fullmatch(type) else _PREFIX + "event"


class View:
    """What becomes of a run's chunks; `names` maps streams of text to event names."""

    names = {
        "stdout": "stdout",
        "event": "stdout",
        "stderr": "stderr",
        # Not of these kinds of run, but of one that is resumed here.
        "result": "stdout",
        "error": "stderr",
    }

    def __init__(self):
        # Per event and task: whether the text so far ends in CR.
        self._after_cr: dict[tuple[str, int], bool] = {}

    def events(self, run_id: str, batch: Batch) -> Iterator[bytes]:
        for seq, line in batch.numbered():
            chunk = orjson.loads(line)
            # As it stands there, however deep: `data` comes last, and no string before
            # it can hold these bytes, for its own quotes are escaped.
            chunk["raw_data"] = line.partition(b',"data":')[2][:-1].decode()
            if chunk["stream"] == "system":
                yield comment(chunk["text"])
                continue
            name, data = self.event(chunk)
            yield message(name, data, f"{run_id}:{seq}")

    def event(self, chunk: dict) -> tuple[str, str]:
        """(name, data) of a chunk."""
        name = self.names[chunk["stream"]]
        return name, self._text(name, chunk)

    def _text(self, name: str, chunk: dict) -> str:
        """The chunk's text, so that a CRLF cut in two comes back as one line end."""
        text, key = chunk["text"], (name, chunk["task"])
        if text.startswith("\n") and self._after_cr.get(key):
            text = text[1:]
        self._after_cr[key] = text.endswith("\r")
        return text


class PythonView(View):
    names = {"stdout": "chunk", "event": "chunk", "stderr": "error_msg"}

    def event(self, chunk: dict) -> tuple[str, str]:
        if chunk["stream"] in ("result", "error"):
            name = "result" if chunk["stream"] == "result" else "error_msg"
            return name, chunk["raw_data"]
        return super().event(chunk)


class StructuredView(View):
    def event(self, chunk: dict) -> tuple[str, str]:
        if chunk["stream"] != "event":
            return super().event(chunk)
        return event_name(chunk["data"]["type"]), _data(chunk)


def _data(chunk: dict) -> str:
    """JSON of the event's `data` member, or of the whole object where it has none."""
    if "data" not in chunk["data"]:
        return chunk["text"].strip()
    # The standard library keeps the digits of long integers.
    data = json.loads(chunk["text"])["data"]
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


VIEWS = {
    "command": View,
    "python": PythonView,
    "structured": StructuredView,
    "agent": StructuredView,
}
