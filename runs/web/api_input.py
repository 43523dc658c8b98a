"""What callers of the API send: JSON bodies, query parameters, cursors."""

import base64
import json
from datetime import UTC, datetime
from typing import Annotated

import orjson
from django.http import HttpRequest
from ninja import Schema
from ninja.parser import Parser
from pydantic import BeforeValidator, WithJsonSchema

from .errors import ApiError

SEQ_MAX = 2**63 - 1
TEXT_LENGTH = 200


# --- bodies --------------------------------------------------------------------


def read_json(request: HttpRequest, optional: bool = False) -> dict:
    """The JSON object in a request's body; {} if it is optional and empty."""
    if request.content_type.startswith("multipart/"):
        raise _not_json()
    body = request.body
    if not body.strip():
        if optional:
            return {}
        raise ApiError("bad_request", "The body is empty. Send a JSON object.")
    charset = request.content_params.get("charset", "utf-8").lower()
    if request.content_type != "application/json" or charset not in ("utf-8", "utf8"):
        raise _not_json()
    return parse_object(body)


def parse_object(body: bytes) -> dict:
    """A JSON object, read strictly: no NaN, no lone surrogates, no name twice."""
    try:
        value = orjson.loads(body)
        # Of a name given twice orjson keeps the last one without a word.
        json.loads(body, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise ApiError("bad_request", f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ApiError("bad_request", "The body must be a JSON object.")
    return value


def _not_json() -> ApiError:
    return ApiError(
        "unsupported_media_type",
        "Send JSON in UTF-8, with the header Content-Type: application/json.",
    )


def _no_duplicates(pairs: list[tuple]) -> dict:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:80]!r} is there twice")
    return dict(pairs)


# --- query parameters ----------------------------------------------------------


class QueryParser(Parser):
    """Takes `?status=&q=` as a form sends it: an empty value is none."""

    def parse_querydict(self, data, list_fields, request):
        kept = {name: [v for v in values if v] for name, values in data.lists()}
        return {
            name: values if name in list_fields else values[-1]
            for name, values in kept.items()
            if values
        }


def refuse_unknown(request: HttpRequest, schema: type[Schema]) -> None:
    """A misspelt filter would otherwise be a filter that silently does nothing."""
    if unknown := sorted(set(request.GET) - set(schema.model_fields)):
        known = ", ".join(schema.model_fields)
        message = f"Unknown parameter. Use only {known}."
        raise ApiError("bad_request", message, {unknown[0][:80]: message})


def whole(low: int, high: int):
    """A whole number from low to high, in plain digits."""

    def check(value):
        digits = str(value)
        if digits.isascii() and digits.isdigit() and len(digits) < 20:
            number = int(digits)
            if low <= number <= high:
                return number
        raise ValueError(f"Must be a whole number from {low} to {high}.")

    shape = {"type": "integer", "minimum": low, "maximum": high}
    return Annotated[int, BeforeValidator(check), WithJsonSchema(shape)]


def one_of(*names: str):
    """A list of names, given separated by commas or as a repeated parameter."""

    def check(values):
        chosen = [name.strip() for value in values for name in value.split(",") if name.strip()]
        if not set(chosen) <= set(names):
            raise ValueError(f"Use only {', '.join(names)}, separated by commas.")
        return chosen

    shape = {"type": "array", "items": {"type": "string", "enum": list(names)}}
    return Annotated[list[str], BeforeValidator(check), WithJsonSchema(shape)]


def _check_text(value):
    if len(value) > TEXT_LENGTH:
        raise ValueError(f"Must be at most {TEXT_LENGTH} characters long.")
    if "\0" in value:
        raise ValueError("Must not contain a NUL byte.")
    return value


def _check_seconds(value):
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 1e9:
        raise ValueError("Must be a number of seconds from 0 to 1000000000.")
    return seconds


def _check_moment(value):
    # An unescaped + arrives as a blank.
    for text in (value, "+".join(value.rsplit(" ", 1))):
        try:
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    raise ValueError("Must be an ISO 8601 date or time, like 2025-01-31T12:00:00Z.")


Text = Annotated[
    str, BeforeValidator(_check_text), WithJsonSchema({"type": "string", "maxLength": TEXT_LENGTH})
]
Seconds = Annotated[
    float, BeforeValidator(_check_seconds), WithJsonSchema({"type": "number", "minimum": 0})
]
Moment = Annotated[
    datetime,
    BeforeValidator(_check_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


# --- the list's cursor ---------------------------------------------------------


def make_cursor(pk: int) -> str:
    return base64.urlsafe_b64encode(pk.to_bytes(8, "big")).decode().rstrip("=")


def _check_cursor(value):
    try:
        pk = int.from_bytes(base64.urlsafe_b64decode(value + "="), "big")
        if make_cursor(pk) == value and pk <= SEQ_MAX:
            return pk
    except (ValueError, OverflowError):
        pass
    raise ValueError("Unknown cursor. Use `next` of the page before, or start without one.")


Cursor = Annotated[int, BeforeValidator(_check_cursor), WithJsonSchema({"type": "string"})]
