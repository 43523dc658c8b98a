"""A run's log as a file: generators of bytes over stored rows. A new format goes here.

A format is a function of the run and an iterator of pages, each a list of rows;
it yields one piece of bytes per page, which may be empty. Between two pieces it
holds no cursor and no more than one page, so a reader may pause for as long as it
likes and each step may run in another thread.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import orjson

from ..models import STREAM_NAMES, Run, Stream
from .reading import rows_after
from .wire import Row, chunk_json, duration, run_json

# A page ends at whichever comes first. The rows bound how long a step keeps a
# reader thread; the bytes bound what a stalled download holds in memory.
PAGE_ROWS = 2_000
PAGE_BYTES = 128 * 1024


class RunDeleted(Exception):
    """The rest of an export is not there any more; what was given out is incomplete."""


Pages = Iterator[list[Row]]


class Format(NamedTuple):
    content_type: str
    pieces: Callable[[Run, Pages], Iterator[bytes]]


def export(
    run: Run,
    format: str,
    *,
    first: int = 1,
    last: int | None = None,
    streams: Collection[str] = (),
    task: int | None = None,
) -> Iterator[bytes]:
    """The chunks first..last (inclusive) of `run` in a format named in FORMATS.

    `streams` holds stream names (none: all of them), `task` a task's number. What
    is recorded after `run` was loaded is left out. Each step queries the database:
    call next() in a thread. Raises KeyError for an unknown format.
    """
    end = run.last_seq if last is None else min(last, run.last_seq)
    return FORMATS[format].pieces(run, _pages(run, first, end, frozenset(streams), task))


def filename(run: Run, format: str) -> str:
    return f"run-{run.public_id}.{format}"


def proof(run: Run) -> dict[str, str]:
    """The chain's head and its signature, "" before there are any; see chain.py."""
    return {"chain": run.chain, "signature": run.signature}


def _pages(run: Run, first: int, last: int, streams: frozenset[str], task) -> Pages:
    codes = {code for code, name in STREAM_NAMES.items() if name in streams}
    while first <= last:
        rows = rows_after(run.pk, first - 1, PAGE_ROWS, last, PAGE_BYTES)
        if not rows:
            # Nothing left but the hole of the output cap, or it was deleted.
            now = Run.objects.filter(pk=run.pk).only("output_deleted").first()
            if now is None or (now.output_deleted and not run.output_deleted):
                raise RunDeleted("The run or its output was deleted while it was exported.")
            return
        first = rows[-1][0] + 1
        # Filtered here and not by the query: one that looks for what is rare would
        # keep its thread until it had examined the whole log.
        if streams:
            rows = [row for row in rows if row[3] in codes]
        if task is not None:
            rows = [row for row in rows if row[4] == task]
        yield rows


def _ndjson(run: Run, pages: Pages) -> Iterator[bytes]:
    yield run_json(run) + b"\n"
    for rows in pages:
        yield b"".join([chunk_json(row) + b"\n" for row in rows])


def _json(run: Run, pages: Pages) -> Iterator[bytes]:
    yield b'{"run":' + run_json(run) + b',"chunks":['
    separator = b"\n"
    for rows in pages:
        if rows:
            yield separator + b",\n".join(map(chunk_json, rows))
            separator = b",\n"
        else:
            yield b""
    yield b"\n]}\n"


def _txt(run: Run, pages: Pages) -> Iterator[bytes]:
    """Text of stdout, event, stderr, error and of results' text/plain.

    Lines of different streams or tasks never share a line; nothing else is added, but a
    sentence where output was deleted.
    """
    written_by, line_open = None, False
    for rows in pages:
        texts = []
        for row in rows:
            text = _plain_text(row)
            if not text:
                continue
            if line_open and written_by != _writer(row):
                texts.append("\n")
            texts.append(text)
            written_by, line_open = _writer(row), not text.endswith("\n")
        yield "".join(texts).encode()
    if run.output_deletion:
        yield b"\n" * line_open + _remark(run).encode()


def _remark(run: Run) -> str:
    """Said where the output would go on that was deleted; `ndjson` and `json` have the run."""
    return f"[streamsite] {run.output_deletion}\n"


def _plain_text(row: Row) -> str:
    if row[3] == Stream.SYSTEM:
        return ""
    if row[3] != Stream.RESULT:
        return row[5]
    text = orjson.loads(row[6] or "{}").get("text/plain", "")
    return text if isinstance(text, str) else ""


def _writer(row: Row):
    """Who writes the line that this chunk belongs to."""
    seq, _, _, stream, task, _, _ = row
    if stream == Stream.RESULT:
        return seq  # each result is a line of its own
    # An event is a line of its task's standard output.
    return task, Stream.STDOUT.value if stream == Stream.EVENT else stream


def _csv(run: Run, pages: Pages) -> Iterator[bytes]:
    """RFC 4180. The text is exact: a spreadsheet may take `=…` for a formula."""
    yield b"seq,t,line,stream,task,text\r\n"
    for rows in pages:
        page = io.StringIO(newline="")
        csv.writer(page).writerows(
            (seq, f"{t / 1e6:.6f}", line, STREAM_NAMES[stream], task, text)
            for seq, t, line, stream, task, text, _ in rows
        )
        yield page.getvalue().encode()
    if run.output_deletion:
        page = io.StringIO(newline="")
        csv.writer(page).writerow((run.last_seq, "0.000000", 0, "system", 0, _remark(run)))
        yield page.getvalue().encode()


def _cast(run: Run, pages: Pages) -> Iterator[bytes]:
    """asciicast v2: `o` for what a terminal would show, `m` where a stage changes."""
    begun = run.started_at or run.created_at
    header = {
        "version": 2,
        "width": 80,
        "height": 24,
        "timestamp": int(begun.timestamp()),
        "title": run.title,
        # Players leave out what they do not know.
        "streamsite": {"id": run.public_id, "last_seq": run.last_seq, **proof(run)},
    }
    yield orjson.dumps(header) + b"\n"
    shown = {Stream.STDOUT.value, Stream.EVENT.value, Stream.STDERR.value}
    last_stage = None
    for rows in pages:
        events = []
        for _, t, _, stream, task, text, data in rows:
            if stream not in shown:
                continue
            seconds = t / 1e6
            if data and (stage := _stage(data)) and (task, stage) != last_stage:
                last_stage = (task, stage)
                events.append((seconds, "m", stage))
            events.append((seconds, "o", text.replace("\n", "\r\n")))
        yield b"".join([orjson.dumps(event) + b"\n" for event in events])
    if run.output_deletion:
        seconds = duration(run) or 0.0
        yield orjson.dumps((seconds, "o", _remark(run).replace("\n", "\r\n"))) + b"\n"


def _stage(data: str) -> str | None:
    """What a stage event says, such as "extract started"; None for other events."""
    event = orjson.loads(data)
    if isinstance(event, dict) and event.get("type", "stage") == "stage":
        inner = event if isinstance(event.get("stage"), str) else event.get("data")
        if isinstance(inner, dict) and isinstance(inner.get("stage"), str):
            status = inner.get("status")
            return f"{inner['stage']} {status}" if isinstance(status, str) else inner["stage"]
    return None


FORMATS = {
    "ndjson": Format("application/x-ndjson", _ndjson),
    "json": Format("application/json", _json),
    "txt": Format("text/plain; charset=utf-8", _txt),
    "cast": Format("application/x-asciicast", _cast),
    "csv": Format("text/csv; charset=utf-8", _csv),
}
