"""Masking: a secret value does not get past here, however the output was cut.

Masked is a value itself, each line of one that has several, and what it becomes in
JSON, in a URL and in base64 (at any offset and wrapped, too); terminal codes between
its characters do not hide it. What a program makes of it beyond that is not seen.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from ahocorasick_rs import AhoCorasick

MASK = "***"
# Shorter ones would mask what only looks like them.
LEAST_CHARS = 8  # as kinds.SECRET_CHARS
# With so much of a base64 form before a line break it may go on in the next line.
WRAPPED_CHARS = 8
# A secret is not looked for across more terminal codes than this.
CODES_CHARS = 4096
# More positions than can be on their way to the database at a time.
SHIFTS = 20_000

_CODE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ`-~\\])"
)
_OPEN_CODE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]P^_X][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_BREAK = re.compile(r"\r?\n|\r\Z")

Span = tuple[int, int]


class Secrets:
    """What is to be masked in one run; `count` says how often it was."""

    def __init__(self, values: Iterable[str] = ()):
        parts = {part for value in values for part in _parts(value)}
        wrappable = {form for part in parts for form in _base64_forms(part)}
        self.count = 0
        self._forms = sorted(wrappable.union(*map(_plain_forms, parts)))
        self._wraps = {
            form[at : at + WRAPPED_CHARS]
            for form in wrappable
            for at in range(len(form) - WRAPPED_CHARS)
        }
        breaks = [gram + end for gram in self._wraps for end in ("\n", "\r\n")]
        self._matcher = AhoCorasick([*self._forms, *breaks])
        self._beginnings = {form[:end] for form in self._forms for end in range(1, len(form))}
        self._lengths = sorted({len(one) for one in self._beginnings}, reverse=True)
        # How the longer beginnings end: mostly what a text ends with is none of these.
        self._ends = {one[-3:] for one in self._beginnings}

    def __bool__(self) -> bool:
        return bool(self._forms)

    def masked(self, text: str) -> str:
        """A text that is whole: nothing comes before or after it."""
        return Masker(self).only(text)

    def find(self, text: str) -> tuple[list[Span], bool]:
        """Where the forms are, and whether a line break may stand within another."""
        matches = self._matcher.find_matches_as_indexes(text, overlapping=True)
        count = len(self._forms)
        found = [(start, end) for number, start, end in matches if number < count]
        return found, len(found) < len(matches)

    def tail(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a form."""
        beginnings = self._beginnings
        if (
            text[-3:] not in self._ends
            and text[-2:] not in beginnings
            and text[-1:] not in beginnings
        ):
            return 0
        size = len(text)
        return next((n for n in self._lengths if n <= size and text[-n:] in beginnings), 0)

    def goes_on_after(self, text: str, end: int) -> bool:
        """Whether a line break at `end` may stand within a base64 form."""
        return text[max(0, end - WRAPPED_CHARS) : end] in self._wraps


class Masker:
    """Masks one stream of one task: what feed() and end() give, in order, is its text.

    A tail that could begin a secret, or is half a terminal code, waits for what follows
    or for the end, never for a clock. What stood between the characters of a secret
    (line breaks, terminal codes) is kept behind the mask, so that lines are the
    program's own.

    `shifts`: {(line, column): by how much the program's own column is larger}, for the
    ends of what feed() gave, where they differ.
    """

    def __init__(self, secrets: Secrets, lines: int = 0, chars: int = 0):
        """`lines`, `chars`: where in the program's stream it begins."""
        self.shifts: dict[tuple[int, int], int] = {}
        self._secrets = secrets
        self._held = ""
        self._since = 0.0
        self._line, self._column, self._shift = lines, chars, 0

    def feed(self, text: str, at: float) -> tuple[str, float]:
        """(what can be given, when its first character was read)."""
        since = self._since if self._held else at
        text, self._held = self._held + text, ""
        given = self._given(text, ended=False)
        self._since = at if given else since
        if self._shift:
            self._remember()
        return given, since

    def lets_pass(self, text: str) -> bool:
        """Whether feed() would give all of it as it is; then it counts as fed."""
        if self._held or self._shift or not self._is_whole(text, ended=False):
            return False
        self._move(text)
        return True

    def end(self) -> tuple[str, float]:
        """What was held: nothing follows."""
        text, self._held = self._held, ""
        return self._given(text, ended=True), self._since

    def only(self, text: str) -> str:
        return self._given(text, ended=True)

    def _given(self, text: str, *, ended: bool) -> str:
        if self._is_whole(text, ended=ended):
            self._move(text)
            return text
        return self._replaced(text, ended)

    def _is_whole(self, text: str, *, ended: bool) -> bool:
        """Whether nothing in it is to be masked, or to be held back."""
        if "\x1b" not in text:
            return self._is_clear(text, ended)
        if not ended and _OPEN_CODE.search(text):
            return False
        # What stands in a code is looked at, too: not everybody takes it for one.
        views = text, _OPEN_CODE.sub("", _CODE.sub("", text))
        return all(self._is_clear(view, ended) for view in views)

    def _is_clear(self, text: str, ended: bool) -> bool:
        found, is_wrapped = self._secrets.find(text)
        if found or is_wrapped:
            return False
        if ended:
            return True
        if text[-1:] in ("\n", "\r"):
            return not self._secrets.goes_on_after(text, len(text.rstrip("\r\n")))
        return not self._secrets.tail(text)

    def _replaced(self, text: str, ended: bool) -> str:
        spans: list[Span] = []
        limit = len(text)
        for view, places in ((text, range(len(text))), self._bare(text)):
            found, _ = self._secrets.find(view)
            spans += [(places[start], places[end - 1] + 1) for start, end in found]
            length = 0 if ended else self._secrets.tail(view)
            if length and len(text) - places[-length] - length <= CODES_CHARS:
                limit = min(limit, places[-length])
        if not ended and (match := _OPEN_CODE.search(text)) and len(match[0]) <= CODES_CHARS:
            limit = min(limit, match.start())
        spans = _joined(spans)
        while spans and spans[-1][1] > limit:
            limit = min(limit, spans.pop()[0])
        self._held = text[limit:]
        given, position = [], 0
        for start, end in spans:
            self._move(text[position:start])
            given += [text[position:start], self._mask(text[start:end])]
            position = end
        self._move(text[position:limit])
        return "".join([*given, text[position:limit]])

    def _bare(self, text: str) -> tuple[str, list[int]]:
        """`text` without what may stand within a secret, and each character's place."""
        gone = [match.span() for match in _CODE.finditer(text)]
        if match := _OPEN_CODE.search(text, gone[-1][1] if gone else 0):
            gone.append(match.span())
        gone += [
            match.span()
            for match in _BREAK.finditer(text)
            if self._secrets.goes_on_after(text, match.start())
        ]
        parts, places, position = [], [], 0
        for start, end in [*_joined(gone), (len(text), len(text))]:
            parts.append(text[position:start])
            places += range(position, start)
            position = end
        return "".join(parts), places

    def _mask(self, secret: str) -> str:
        """What stands for it; all line breaks last, so that no line ends within it."""
        self._secrets.count += 1
        codes = "".join(_CODE.findall(secret))
        breaks = "\n" * secret.count("\n")
        mask = MASK + codes + breaks
        self._move(mask)
        if breaks:
            self._shift = len(secret) - secret.rfind("\n") - 1
            self._remember()
        else:
            self._shift += len(secret) - len(mask)
        return mask

    def _move(self, text: str) -> None:
        if newlines := text.count("\n"):
            self._line += newlines
            self._column, self._shift = len(text) - text.rfind("\n") - 1, 0
        else:
            self._column += len(text)

    def _remember(self) -> None:
        if len(self.shifts) >= SHIFTS:
            self.shifts = dict(list(self.shifts.items())[SHIFTS // 2 :])
        self.shifts[self._line, self._column] = self._shift


def _joined(spans: Iterable[Span]) -> list[Span]:
    """In order, overlapping ones as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _parts(value: str) -> Iterator[str]:
    """The value and its lines, as far as they can be masked."""
    for part in {value, value.strip(), *map(str.strip, value.splitlines())}:
        if len(part) >= LEAST_CHARS:
            yield part


def _plain_forms(part: str) -> set[str]:
    forms = {part} if "\n" not in part else set()
    data = part.encode("utf-8", "surrogatepass")
    for text in (quote(data, safe=""), quote(data), quote_plus(data)):
        forms |= {text, re.sub("%..", lambda match: match[0].lower(), text)}
    forms |= {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]}
    return {_CODE.sub("", form) for form in forms}


def _base64_forms(part: str) -> Iterator[str]:
    """However many bytes stand before it, and whatever stands behind it."""
    data = part.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode()
        yield encode(data + b"\n").decode()
        for before in range(3):
            # Only characters that depend on nothing but the value.
            whole = (before + len(data)) * 8 // 6
            yield encode(b"\0" * before + data).decode()[-(-before * 8 // 6) : whole]
