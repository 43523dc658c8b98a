"""A run's output as lines that can be compared: a hash of each, and where it begins.

Twenty bytes a line. What people are shown of them is read again.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate, repeat

import orjson

from ..models import STREAM_NAMES, Run
from .reading import rows_after
from .volatile import settled
from .wire import Row

PAGE = 1_000
FEW = 50
MOST_LINES = 1_500_000
# Of a longer line so much at a time is kept; it is one line all the same.
PIECE_CHARS = 1024 * 1024
MOST_TYPES = 200
# Of a line that is shown.
SHOWN_CHARS = 2_000

Place = tuple[int, str]  # task and stream; events are part of stdout


class Lines:
    """The lines of one task's stream."""

    def __init__(self, exact: bool):
        self.hashes = array("q")
        self.seqs = array("q")
        self.offsets = array("l")
        self._exact = exact
        self._open: list[str] = []
        self._open_chars = 0
        self._ended: list[str] = []

    def __len__(self) -> int:
        return len(self.hashes)

    def take(self, seq: int, text: str) -> None:
        if not text:
            return
        if not self._open and text.find("\n") == len(text) - 1 and len(text) <= PIECE_CHARS:
            # One whole line, as most chunks are of a program that flushes each.
            self.seqs.append(seq)
            self.offsets.append(0)
            self._ended.append(text[:-1])
            return
        first, *others = text.split("\n")
        begins = 0 if self._open else 1
        lengths = [len(piece) + 1 for piece in (first, *others)]
        # Behind each newline a line begins, unless nothing follows it.
        later = len(others) - 1 if others and not others[-1] else len(others)
        self.seqs.extend(repeat(seq, begins + later))
        if begins:
            self.offsets.append(0)
        self.offsets.extend(list(accumulate(lengths))[:later])
        self._extend(first)
        if others:
            self._end()
            self._ended += others[:-1]
            self._extend(others[-1])

    def _extend(self, piece: str) -> None:
        if not piece:
            return
        self._open.append(piece)
        self._open_chars += len(piece)
        while self._open_chars > PIECE_CHARS:
            text = "".join(self._open)
            # Cut by its length, wherever chunks of it ended.
            known = hash(self._settled([text[:PIECE_CHARS]])[0])
            self._open = [f"\0{known}", text[PIECE_CHARS:]]
            self._open_chars = sum(map(len, self._open))

    def _end(self) -> None:
        self._ended.append("".join(self._open))
        self._open, self._open_chars = [], 0

    def take_whole(self, seq: int, text: str) -> None:
        """One thing that is compared as a whole, as results are."""
        self.seqs.append(seq)
        self.offsets.append(0)
        self._ended.append(text.replace("\n", "\0"))

    def settle(self, at_end: bool = False) -> None:
        """Turn what has come into hashes."""
        if at_end and self._open:
            self._end()
        if self._ended:
            self.hashes.extend(map(hash, self._settled(self._ended)))
            self._ended = []

    def _settled(self, lines: list[str]) -> list[str]:
        return lines if self._exact else settled(lines)

    def cut(self, count: int) -> None:
        for column in (self.hashes, self.seqs, self.offsets):
            del column[count:]


class Output:
    """What a run printed. `complete` is false where it was too much, or took too long."""

    def __init__(self):
        self.places: dict[Place, Lines] = {}
        self.events: Counter = Counter()
        self.complete = True


def place_of(row: Row) -> Place | None:
    """None for our own remarks."""
    stream = STREAM_NAMES[row[3]]
    if stream == "system":
        return None
    return row[4], "stdout" if stream == "event" else stream


def output_of(run: Run, exact: bool, may_go_on: Callable[[], bool]) -> Output:
    """Read it all, up to the run's last_seq as it is known."""
    output, seq, lines = Output(), 0, 0
    while rows := rows_after(run.pk, seq, PAGE, until=run.last_seq):
        seq = rows[-1][0]
        for row in rows:
            if (place := place_of(row)) is None:
                continue
            column = output.places.get(place) or output.places.setdefault(place, Lines(exact))
            if place[1] == "result":
                column.take_whole(row[0], f"{row[5]}\0{row[6]}")
                continue
            column.take(row[0], row[5])
            if row[6] is not None and STREAM_NAMES[row[3]] == "event":
                output.events[_type_of(row[6])] += 1
        for column in output.places.values():
            column.settle()
        lines = sum(map(len, output.places.values()))
        if lines >= MOST_LINES or not may_go_on():
            output.complete = seq >= run.last_seq
            break
    for column in output.places.values():
        column.settle(at_end=True)
        column.cut(len(column.hashes))
    return output


def _type_of(data: str) -> str:
    kind = orjson.loads(data).get("type")
    return kind[:64] if isinstance(kind, str) else "stage"


def texts(run: Run, place: Place, lines: Lines, first: int, count: int) -> list[tuple[int, str]]:
    """(number in the run, text) of so many lines from the first on; cut where they are long."""
    found: list[tuple[int, str]] = []
    if not count:
        return found
    for number, begins, piece in _pieces(run, place, lines.seqs[first], lines.offsets[first]):
        if begins:
            if len(found) == count:
                return found
            found.append((number, piece[:SHOWN_CHARS]))
        elif found and len(found[-1][1]) < SHOWN_CHARS:
            known, text = found[-1]
            found[-1] = known, (text + piece)[:SHOWN_CHARS]
    return found


def _pieces(run: Run, place: Place, seq: int, offset: int) -> Iterator[tuple[int, bool, str]]:
    """(number in the run, whether a line begins, text) from a place where one does."""
    begins, after = True, seq - 1
    while rows := rows_after(run.pk, after, FEW, until=run.last_seq):
        after = rows[-1][0]
        for row in rows:
            if place_of(row) != place:
                continue
            if place[1] == "result":
                yield row[2] + 1, True, _result(row)
                continue
            text = row[5]
            number = row[2] + 1 + text.count("\n", 0, offset)
            *ended, last = text[offset:].split("\n")
            offset = 0
            for piece in ended:
                yield number, begins, piece
                number, begins = number + 1, True
            if last:
                yield number, begins, last
                begins = False


def _result(row: Row) -> str:
    data = orjson.loads(row[6]) if row[6] else None
    types = ", ".join(sorted(data)) if isinstance(data, dict) else "result"
    return f"{types}: {row[5].strip()}" if row[5].strip() else types
