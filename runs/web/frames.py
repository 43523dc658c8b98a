"""What a run's WebSocket sends, as text."""

from collections.abc import Iterator

import orjson

from ..streaming.wire import Batch
from .watching import Shared

# Batches that gathered travel together up to this size; a bigger one travels alone.
FRAME_BYTES = 256 * 1024

PING = '{"type":"ping"}'


def hello(run: bytes) -> str:
    return '{"type":"hello","run":' + run.decode() + "}"


def status(run: bytes) -> str:
    return '{"type":"status","run":' + run.decode() + "}"


def end(run: bytes) -> str:
    return orjson.dumps({"type": "end", **end_of(run)}).decode()


def end_of(run: bytes) -> dict:
    known = orjson.loads(run)
    end = {key: known[key] for key in ("status", "exit_code", "last_seq")}
    # Then up to last_seq nothing came, or not all of it.
    return end | {"output_deleted": why} if (why := known["output_deleted"]) else end


def error(code: str, message: str) -> str:
    return orjson.dumps({"type": "error", "code": code, "message": message}).decode()


def chunks(batches: list[Batch]) -> Iterator[str]:
    """Frames that hold the batches in order."""
    waiting: list[Batch] = []
    size = 0
    for batch in batches:
        if waiting and size + len(batch.lines) > FRAME_BYTES:
            yield _frame(waiting)
            waiting, size = [], 0
        waiting.append(batch)
        size += len(batch.lines)
    if waiting:
        yield _frame(waiting)


def _frame(batches: list[Batch]) -> str:
    return _shared(batches[0]) if len(batches) == 1 else _encode(batches)


def _encode(batches: list[Batch]) -> str:
    # The chunks are JSON already, one a line; nothing is parsed on the way.
    lines = b"\n".join([batch.lines for batch in batches]).replace(b"\n", b",")
    last_seq = batches[-1].last_seq
    return (b'{"type":"chunks","chunks":[%b],"last_seq":%d}' % (lines, last_seq)).decode()


_shared = Shared(lambda batch: _encode([batch]))
