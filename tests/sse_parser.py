"""An event stream parser, written from the WHATWG's text and not from our framing.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import codecs
from typing import NamedTuple


class Event(NamedTuple):
    type: str
    data: str
    last_event_id: str


class SseParser:
    """Feed it bytes as they come; it returns the events that were dispatched.

    `comments` and `retry` tell of what EventSource itself does not show.
    """

    def __init__(self):
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._at_start = True
        self._line: list[str] = []
        self._after_cr = False
        self._data = self._type = self._id = ""
        self.last_event_id = ""
        self.comments: list[str] = []
        self.retry: int | None = None

    def feed(self, received: bytes) -> list[Event]:
        events = []
        for char in self._decode(received):
            if self._at_start:
                self._at_start = False
                if char == "\ufeff":
                    continue
            if char == "\n" and self._after_cr:
                self._after_cr = False
                continue
            self._after_cr = char == "\r"
            if char not in "\r\n":
                self._line.append(char)
                continue
            line, self._line = "".join(self._line), []
            if event := self._process(line):
                events.append(event)
        return events

    def _process(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not field and colon:
            self.comments.append(value)
        elif field == "event":
            self._type = value
        elif field == "data":
            self._data += value + "\n"
        elif field == "id":
            if "\0" not in value:
                self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        data, type = self._data, self._type
        self._data = self._type = ""
        if not data:
            return None
        return Event(type or "message", data.removesuffix("\n"), self.last_event_id)
