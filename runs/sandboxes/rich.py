"""What a kernel says, as output pieces."""

import json
import math
import re
import time

import orjson

from .base import OutputQueue

MAX_DEPTH = 200
RESULT_BYTES = 8 * 1024**2
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def stream_name(content: dict) -> str:
    return "stderr" if content["name"] == "stderr" else "stdout"


def storable(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\u2400")
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def put_result(output: OutputQueue, content: dict) -> None:
    bundle = dict(content["data"])
    if content.get("execution_count") is not None:
        bundle["execution_count"] = content["execution_count"]
    left_out = (content.get("metadata") or {}).get("streamsite_left_out")
    data = as_json(bundle)
    if len(data) > RESULT_BYTES:
        left_out = {"bytes": len(data), "types": sorted(content["data"])}
        bundle = {"text/plain": str(bundle.get("text/plain", ""))[: RESULT_BYTES // 4]}
        data = as_json(bundle)
    plain = storable(str(bundle.get("text/plain", "")))
    output.put(0, "result", f"{plain}\n" if plain else "", data, time.monotonic())
    if left_out:
        output.put(
            0,
            "system",
            f"A result of {left_out['bytes']} bytes ({', '.join(left_out['types'])}) was left out "
            f"except for its beginning as text: the limit is {RESULT_BYTES} bytes.\n",
        )


def put_error(output: OutputQueue, content: dict) -> None:
    lines = content.get("traceback") or [f"{content.get('ename')}: {content.get('evalue')}"]
    traceback = storable(ANSI.sub("", "\n".join(lines)))
    data = {
        "name": str(content.get("ename", "")),
        "value": storable(str(content.get("evalue", ""))),
        "traceback": traceback,
    }
    output.put(0, "error", f"{traceback}\n", as_json(data))


def as_json(value) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # lone surrogates, whole numbers beyond 64 bits, or too deep
        return json.dumps(cleaned(value), ensure_ascii=False).encode()


def cleaned(value, levels: int = MAX_DEPTH):
    """`value` as JSON can hold it; what lies deeper than readers go becomes a word."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict | list) and not levels:
        return "…"
    if isinstance(value, dict):
        return {storable(str(name)): cleaned(part, levels - 1) for name, part in value.items()}
    if isinstance(value, list):
        return [cleaned(part, levels - 1) for part in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def outcome(raised: bool, reply: dict, output: OutputQueue) -> int:
    """The cell's exit code; `raised`: its messages told of an error already."""
    failed = reply["status"] == "error"
    if failed and not raised:  # the reply alone tells of SystemExit
        put_error(output, reply)
    return 1 if failed else 0
