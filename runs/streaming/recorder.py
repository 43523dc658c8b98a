"""The recorder: the one place where output is numbered, stored and then published."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from .. import metrics
from ..models import STREAM_CODES, Chunk, Run
from . import database
from .cap import OutputCap
from .chain import Edges, beginning, values_after
from .lines import Draft, utf8_length
from .masking import Masker, Secrets
from .storing import Work, advanced, halves, remark_on, replace_row, row_count, store
from .wire import Batch, Row, chunk_json, joined

log = logging.getLogger(__name__)

# A run with this much unstored makes append() wait; its pipes are paused then.
RUN_BYTES = 256 * 1024
# What a draft costs besides its text.
DRAFT_BYTES = 128
# One transaction holds about this much, so that nobody waits long behind a flood.
TRANSACTION_BYTES = 2 * 1024 * 1024
# Neighbours become one chunk up to this size, if they arrived within this time.
JOIN_CHARS = 64 * 1024
JOIN_SECONDS = 0.02

RETRY_FIRST = 0.05
RETRY_CAP = 1.0
# What the database says of a value, not of its own state; no retry helps.
UNSTORABLE = (DataError, IntegrityError, ValueError, OverflowError, TypeError)

# Only plain text: an event, a result or a remark is a chunk of its own.
JOINABLE = {STREAM_CODES["stdout"], STREAM_CODES["stderr"]}
SYSTEM = STREAM_CODES["system"]

Publish = Callable[[int, list[Batch]], None]


class LeaseLost(Exception):
    """Another executor has taken over the run; nothing more may be recorded."""


class Recording:
    """One run's place in the recorder, made by Recorder.open()."""

    def __init__(
        self,
        run: Run,
        last_t: int,
        wake: Callable[["Recording"], None],
        count_offsets: bool = False,
    ):
        self.run_pk, self.run_id, self.epoch = run.pk, run.public_id, run.epoch
        self.seq, self.line, self.last_line = run.last_seq, run.line_count, run.last_line
        self.cap = OutputCap(settings.OUTPUT_CAP_BYTES, run.output_bytes, run.last_seq, run.dropped)
        self.lost = False
        self._counted = self.seq, self.cap.total
        self.drafts: list[Draft] = []
        self.waiting_bytes = 0
        self.storing = False
        # Counted only where a successor could make use of it.
        self.offsets = run.offsets if count_offsets else None
        # By "task:stream": where masks have moved positions, for the offsets.
        self.maskers: Mapping[str, Masker] = {}
        self.secrets = Secrets()
        self._masked_before = run.masked
        self._value, self._edges = _chain_of(run)
        self._origin: float | None = None
        self._t = last_t
        self._wake = wake
        self._progress = asyncio.Event()

    def start_clock(self, at: float) -> None:
        """`at`: time.monotonic() at the moment of the run's started_at."""
        self._origin = at

    async def append(self, drafts: Iterable[Draft]) -> None:
        """Hand over output, in order; waits while too much is unstored.

        Raises LeaseLost.
        """
        self._check()
        for draft in drafts:
            self.drafts.append(draft)
            self.waiting_bytes += DRAFT_BYTES + len(draft.text) + len(draft.data or "")
        if self.drafts:
            self._wake(self)
        while self.waiting_bytes > RUN_BYTES:
            await self._next_progress()
            self._check()

    async def remark(self, text: str) -> None:
        """Record a remark of our own, a sentence. Raises LeaseLost."""
        await self.append([Draft(0, SYSTEM, text + "\n", None, time.monotonic())])

    async def flush(self) -> None:
        """Wait until all that was appended is stored. Raises LeaseLost."""
        self._check()
        while self.drafts or self.storing:
            await self._next_progress()
            self._check()

    def progressed(self) -> None:
        self._progress.set()

    def stored(self, works: list[Work]) -> None:
        """What became of number()'s work; a chunk in it may have been replaced."""
        if self._value and works:
            self._value = works[-1].values[-1]
        self._count_stored()

    def _count_stored(self) -> None:
        seq, size = self._counted
        self._counted = self.seq, self.cap.total
        metrics.CHUNKS_RECORDED.inc(self.seq - seq)
        metrics.BYTES_RECORDED.inc(self.cap.total - size)

    def take(self) -> list[Draft]:
        """What has gathered; on the event loop, as append() is."""
        drafts, self.drafts, self.waiting_bytes = self.drafts, [], 0
        self.storing = True
        # More may gather while this is being stored.
        self.progressed()
        return drafts

    def number(self, drafts: list[Draft]) -> Work:
        """Turn what take() gave into numbered rows. On the writer thread."""
        previous = self.seq
        rows = self._rows(_joined(drafts))
        self._count(rows)
        offsets_before, self.offsets = self.offsets, advanced(self.offsets, rows)
        drop = self.cap.take_drop()
        if drop and drop[0] == self.cap.dropped["from_seq"]:
            rows.append(self._drop_remark())
        self.last_line = _last_line(rows) or self.last_line
        lines, before = self._encoded(rows), self._value
        values = values_after(before, lines) if before else []
        if values:
            self._edges.want(self.cap.edges)
            self._edges.keep(previous + 1, values)
            self._value = values[-1]
        return Work(
            self.run_pk, self.epoch, previous, rows,
            self.cap.total, self.last_line, self.cap.dropped, drop,
            offsets_before, self.offsets, self.maskers,
            self._masked_before + self.secrets.count, lines, before, values, self._edges,
        )  # fmt: skip

    def _encoded(self, rows: list[Row]) -> list[bytes]:
        """Each row as JSON; one that has none is replaced by a remark, as the database does."""
        try:
            return [chunk_json(row) for row in rows]
        except UNSTORABLE:
            return [self._encoded_one(rows, at) for at in range(len(rows))]

    def _encoded_one(self, rows: list[Row], at: int) -> bytes:
        try:
            return chunk_json(rows[at])
        except UNSTORABLE as error:
            rows[at] = remark_on(rows[at], type(error).__name__)
            _say_replaced(self.run_id, error)
            return chunk_json(rows[at])

    def _rows(self, drafts: Iterable[Draft]) -> list[Row]:
        seq, t, line, origin = self.seq, self._t, self.line, self._origin
        rows: list[Row] = []
        for task, stream, text, data, at in drafts:
            seq += 1
            if origin is not None and (elapsed := int((at - origin) * 1_000_000)) > t:
                t = elapsed
            rows.append((seq, t, line, stream, task, text, data))
            line += text.count("\n")
        self.seq, self._t, self.line = seq, t, line
        return rows

    def _count(self, rows: list[Row]) -> None:
        sizes = [utf8_length(row[5]) + (len(row[6]) if row[6] else 0) for row in rows]
        total = sum(sizes)
        if total <= self.cap.head_left:
            self.cap.add(self.seq, total)
            return
        for row, size in zip(rows, sizes, strict=True):
            self.cap.add(row[0], size)

    def _drop_remark(self) -> Row:
        limit = settings.OUTPUT_CAP_BYTES
        text = (
            f"The output passed {limit:,} bytes. Between its first {limit * 3 // 4:,} and its "
            f"last {limit // 4:,} bytes it is not kept.\n"
        )
        (row,) = self._rows([Draft(0, SYSTEM, text, None, 0.0)])
        return row

    def _check(self) -> None:
        if self.lost:
            raise LeaseLost("Another executor has taken over this run.")

    async def _next_progress(self) -> None:
        self._progress.clear()
        await self._progress.wait()


class Recorder:
    """Number all runs' output, store it in batches, then publish each batch.

    A chunk is published only after the transaction that stored it has committed,
    so nobody sees live what a replay would not show. While one transaction commits
    more output gathers: batches grow by themselves under load and are single
    chunks when it is quiet.

    A store that fails is repeated until it succeeds; meanwhile append() waits, and
    that wait is what slows the programs down. Nothing is dropped to get going again.
    """

    def __init__(self, publish: Publish):
        self._publish = publish
        # A dict for its order: whoever had no place in a transaction comes first next.
        self._ready: dict[Recording, None] = {}
        self._wakeup = asyncio.Event()
        self._task: asyncio.Task | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name="recorder")

    async def close(self) -> None:
        """Stop at once; flush() the recordings first."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def open(self, run: Run, count_offsets: bool = False) -> Recording:
        """Begin, or after a takeover continue, the recording of a run we hold.

        `count_offsets`: keep on the row how far the program's output was consumed.
        """
        last_t = await database.insist(_last_t, run.pk) if run.last_seq else 0
        return Recording(run, last_t, self._ready_to_store, count_offsets)

    def waiting(self) -> list[int]:
        """Of each run with output that is not yet taken to be stored, how much. From any thread."""
        return [recording.waiting_bytes for recording in list(self._ready)]

    def _ready_to_store(self, recording: Recording) -> None:
        self._ready[recording] = None
        self._wakeup.set()

    async def _work(self) -> None:
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._ready:
                works = Works(self._choose())
                try:
                    if error := await database.write(works.number_and_store):
                        await self._insist(works, error)
                except Exception:
                    # A mistake of ours; the other runs must not hang for it.
                    log.exception("The recorder failed; the runs it was storing are given up")
                    works.lost = {recording.run_pk for recording in works.recordings}
                self._finish(works)

    def _choose(self) -> list[tuple[Recording, list[Draft]]]:
        chosen, size = [], 0
        while self._ready and size < TRANSACTION_BYTES:
            recording = next(iter(self._ready))
            del self._ready[recording]
            if recording.drafts and not recording.lost:
                size += recording.waiting_bytes
                chosen.append((recording, recording.take()))
        return chosen

    async def _insist(self, works: "Works", error: Exception) -> None:
        """Repeat a store that failed until all of it is stored."""
        delay, since = RETRY_FIRST, time.monotonic()
        while error:
            if not isinstance(error, UNSTORABLE):
                log.error("Output cannot be stored, trying again: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_CAP)
            error = await database.write(works.store_again)
        log.warning("Output is stored again after %.1f s.", time.monotonic() - since)

    def _finish(self, works: "Works") -> None:
        for recording in works.recordings:
            recording.storing = False
            if recording.run_pk in works.lost:
                recording.lost = True
                recording.drafts = []
            else:
                recording.stored(works.of(recording))
                self._tell(recording, works.encoded[recording.run_pk])
            recording.progressed()

    def _tell(self, recording: Recording, encoded: list[Batch]) -> None:
        try:
            self._publish(recording.run_pk, encoded)
        except Exception:
            # It is stored: readers find it when they look.
            metrics.PUBLISH_FAILURES.inc()
            log.exception(
                "Output of run %s was stored but could not be published", recording.run_id,
                extra={"run": recording.run_id},
            )  # fmt: skip


class Works:
    """What one transaction holds, on its way through the writer thread."""

    def __init__(self, chosen: list[tuple[Recording, list[Draft]]]):
        self._chosen = chosen
        self._unstored: list[list[Work]] = []
        self._stored: list[Work] = []
        self.lost: set[int] = set()
        self.encoded: dict[int, list[Batch]] = {}

    def of(self, recording: Recording) -> list[Work]:
        """What is stored of a recording, in order."""
        return [work for work in self._stored if work.run_pk == recording.run_pk]

    @property
    def recordings(self) -> list[Recording]:
        return [recording for recording, _ in self._chosen]

    def number_and_store(self) -> Exception | None:
        self._unstored = [[recording.number(drafts) for recording, drafts in self._chosen]]
        return self.store_again()

    def store_again(self) -> Exception | None:
        """Store what is left; the error that stopped it, or None."""
        while self._unstored:
            works = self._unstored[0]
            try:
                with metrics.STORE_SECONDS.time():
                    self.lost |= store(works)
            except UNSTORABLE as error:
                self._narrow_down(works, error)
            except (DatabaseError, InterfaceError) as error:
                # A connection in an unknown state is of no use; a new one is cheap.
                connection.close()
                metrics.STORE_FAILURES.inc()
                return error
            else:
                self._stored += self._unstored.pop(0)
        self._encode()
        return None

    def _narrow_down(self, works: list[Work], error: Exception) -> None:
        if row_count(works) > 1:
            self._unstored[:1] = halves(works)
        elif works[0].is_replaced:
            raise error  # not the row's fault; no replacement would help
        else:
            run_id = next(r.run_id for r in self.recordings if r.run_pk == works[0].run_pk)
            _say_replaced(run_id, error)
            replace_row(works[0], type(error).__name__)
            self._rechain(works[0])

    def _rechain(self, replaced: Work) -> None:
        """A row that was replaced changes the chain from there on."""
        value = replaced.value_before
        for work in (work for works in self._unstored for work in works):
            if work.run_pk == replaced.run_pk:
                work.rechain(value)
                value = work.values[-1] if work.values else value

    def _encode(self) -> None:
        lines: dict[int, list[tuple[int, bytes]]] = {}
        for work in self._stored:
            numbered = zip((row[0] for row in work.rows), work.lines, strict=True)
            lines.setdefault(work.run_pk, []).extend(numbered)
        self.encoded = {run_pk: list(joined(of_run)) for run_pk, of_run in lines.items()}


def _say_replaced(run_id: str, error: Exception) -> None:
    # Its type alone: the database's words would repeat the chunk.
    why = type(error).__name__
    log.error("A chunk of run %s cannot be stored: %s", run_id, why, extra={"run": run_id})
    metrics.CHUNKS_REPLACED.inc()


def _joined(drafts: list[Draft]) -> Iterator[Draft]:
    """Drafts that arrived together and belong together as one."""
    parts: list[str] = []
    size = 0
    head: Draft | None = None
    for draft in drafts:
        if (
            head is not None
            and draft.stream == head.stream
            and draft.task == head.task
            and draft.data is None
            and size + len(draft.text) <= JOIN_CHARS
            and draft.at - head.at <= JOIN_SECONDS
            and head.stream in JOINABLE
        ):
            parts.append(draft.text)
            size += len(draft.text)
            continue
        if head is not None:
            yield head if len(parts) == 1 else head._replace(text="".join(parts))
        head, parts, size = draft, [draft.text], len(draft.text)
    if head is not None:
        yield head if len(parts) == 1 else head._replace(text="".join(parts))


def _last_line(rows: list[Row]) -> str:
    """The last line with something in it, for lists of runs."""
    for row in reversed(rows[-20:]):
        lines = row[5][-2000:].rstrip().rsplit("\n", 1)
        if line := lines[-1].strip():
            return line[:200].encode("utf-8", "replace").decode()
    return ""


def _chain_of(run: Run) -> tuple[bytes, Edges]:
    """The chain's value after what is recorded, and those at the edges that are known;
    no value for a run that was begun before there were chains."""
    if not run.chain and run.last_seq:
        return b"", Edges({})
    value = bytes.fromhex(run.chain) if run.chain else beginning(run.public_id)
    known = {run.last_seq: value}
    if run.dropped:
        known[run.dropped["from_seq"] - 1] = bytes.fromhex(run.dropped["chain_before"])
        known[run.dropped["to_seq"]] = bytes.fromhex(run.dropped["chain_after"])
    return value, Edges(known)


def _last_t(run_pk: int) -> int:
    last = Chunk.objects.of(run_pk).reverse().values_list("t", flat=True)
    return last.first() or 0
