"""Rich results, which are untrusted: what of them is shown, and how.

Images become <img>, HTML goes to a sandboxed frame of its own, the rest is text.
"""

import base64
import json
import re
from dataclasses import dataclass

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_TEXTS = (
    ("text/markdown", "Markdown"),
    ("text/latex", "LaTeX"),
    ("application/javascript", "JavaScript, not run"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """How one representation is drawn: as `image`, `frame` or `text`."""

    how: str
    label: str
    value: str = ""


def parts_of(stream: str, data, text: str) -> list[Part]:
    """The best of what a result or a raised error offers, richest first."""
    if stream == "error":
        return [Part("error", _error_title(data), _traceback(data) or text)]
    if not isinstance(data, dict):
        return [Part("text", "JSON", pretty(data))]
    return _rich(data) or [Part("text", "", str(data.get("text/plain", text)))]


def _rich(data: dict) -> list[Part]:
    for mime in _IMAGES:
        if (value := _string(data.get(mime))) and _BASE64.fullmatch(value):
            return [Part("image", _alt(data), f"data:{mime};base64,{''.join(value.split())}")]
    if svg := _string(data.get("image/svg+xml")):
        encoded = base64.b64encode(svg.encode("utf-8", "replace")).decode()
        return [Part("image", _alt(data), f"data:image/svg+xml;base64,{encoded}")]
    if _string(data.get("text/html")):
        return [Part("frame", "HTML from the program")]
    for mime, label in _TEXTS:
        if value := _string(data.get(mime)):
            return [Part("text", label, value)]
    if "application/json" in data:
        return [Part("text", "JSON", pretty(data["application/json"]))]
    return []


def html_of(data) -> str | None:
    """The HTML of a result; None if it has none."""
    return _string(data.get("text/html")) or None if isinstance(data, dict) else None


def pretty(value) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _string(value) -> str:
    # Notebooks may hold a text as a list of its lines.
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "".join(value)
    return value if isinstance(value, str) else ""


def _alt(data: dict) -> str:
    return _string(data.get("text/plain"))[:200] or "Image from the program"


def _error_title(data) -> str:
    if not isinstance(data, dict):
        return "Error"
    return ": ".join(str(data[key]) for key in ("name", "value") if data.get(key)) or "Error"


def _traceback(data) -> str:
    value = data.get("traceback") if isinstance(data, dict) else None
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")
