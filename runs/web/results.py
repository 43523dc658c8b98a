"""Rich results, which are untrusted: what of them is shown, and how.

Images become <img>, HTML and LaTeX go to a sandboxed frame of their own, the rest is
text. static/runs/results.js holds the same order.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_IMAGES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}
_TEXTS = (
    ("text/latex", "LaTeX"),
    ("text/markdown", "Markdown"),
    ("application/javascript", "JavaScript, not run"),
)
_SUFFIXES = {
    "image/svg+xml": "svg",
    "text/html": "html",
    "text/latex": "tex",
    "text/markdown": "md",
    "text/plain": "txt",
    "application/javascript": "js",
}


@dataclass(frozen=True, slots=True)
class Part:
    """How one representation is drawn: as `image`, `frame` or `text`."""

    how: str
    label: str
    value: str = ""
    mime: str = "text/plain"


@dataclass(frozen=True, slots=True)
class File:
    """One representation as a file; its type is one that no browser runs."""

    content: bytes
    content_type: str
    suffix: str


def parts_of(stream: str, data, text: str) -> list[Part]:
    """The best of what a result or a raised error offers, richest first."""
    if stream == "error":
        return [Part("error", _error_title(data), _traceback(data) or text)]
    if not isinstance(data, dict):
        return [Part("text", "JSON", pretty(data), "application/json")]
    return _rich(data) or [Part("text", "", str(data.get("text/plain", text)))]


def _rich(data: dict) -> list[Part]:
    for mime in _IMAGES:
        if (value := string_of(data.get(mime))) and _BASE64.fullmatch(value):
            return [Part("image", _alt(data), _data_url(mime, "".join(value.split())), mime)]
    if svg := string_of(data.get("image/svg+xml")):
        encoded = base64.b64encode(svg.encode("utf-8", "replace")).decode()
        return [Part("image", _alt(data), _data_url("image/svg+xml", encoded), "image/svg+xml")]
    if string_of(data.get("text/html")):
        return [Part("frame", "HTML from the program", mime="text/html")]
    for mime, label in _TEXTS:
        if value := string_of(data.get(mime)):
            return [Part("text", label, value, mime)]
    for mime, label in (("application/json", "JSON"), ("chart", "Chart data")):
        if mime in data:
            return [Part("text", label, pretty(data[mime]), mime)]
    return []


def _data_url(mime: str, encoded: str) -> str:
    return f"data:{mime};base64,{encoded}"


def file_of(data, mime: str) -> File | None:
    """A result's representation of that type, to be downloaded; None if it has none."""
    value = _value(data, mime)
    if value is None:
        return None
    text = string_of(value)
    if mime in _IMAGES or mime == "application/pdf":
        content = _decoded(text)
        return content and File(content, mime, _IMAGES.get(mime, "pdf"))
    if text and mime in _SUFFIXES:
        kind = "text/plain; charset=utf-8" if mime == "text/plain" else "application/octet-stream"
        return File(text.encode(), kind, _SUFFIXES[mime])
    if isinstance(value, str) and mime != "application/json":
        return File(value.encode(), "application/octet-stream", "txt")
    return File(pretty(value).encode(), "application/json", "json")


def _value(data, mime: str):
    if isinstance(data, dict):
        return data.get(mime)
    return data if mime == "application/json" else None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def text_of(data, mime: str) -> str:
    """What a result holds as text of that type; empty if nothing."""
    return string_of(data.get(mime)) if isinstance(data, dict) else ""


def pretty(value) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def string_of(value) -> str:
    # Notebooks may hold a text as a list of its lines.
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "".join(value)
    return value if isinstance(value, str) else ""


def _alt(data: dict) -> str:
    return string_of(data.get("text/plain"))[:200] or "Image from the program"


def _error_title(data) -> str:
    if not isinstance(data, dict):
        return "Error"
    return ": ".join(str(data[key]) for key in ("name", "value") if data.get(key)) or "Error"


def _traceback(data) -> str:
    value = data.get("traceback") if isinstance(data, dict) else None
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")
