"""Feeds: how the readers of this process learn that a run has more.

One feed per watched run and process. What reaches it, by a call from the recorder
or over the channel layer, is a hint: it wakes readers early and saves them a read.
The database is the truth, and a feed that hears nothing looks there once a second.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from functools import partial

from django.db.models import Q

from .. import metrics
from ..models import IS_ACTIVE, Run
from . import database
from .hints import Hints, hints
from .wire import Batch, run_json

log = logging.getLogger(__name__)

# What readers may lag behind before they read the database again.
WINDOW_BYTES = 512 * 1024
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """A run as its readers know it; `version` tells one state from the next."""

    version: tuple
    last_seq: int
    is_final: bool
    run: bytes
    # Chunks that are told of may then be missing.
    is_deleted: bool = False

    @classmethod
    def of(cls, run: Run) -> "State":
        tasks = tuple((task["status"], task["exit_code"]) for task in run.tasks)
        dropped = run.dropped and run.dropped["from_seq"]
        words = (str(run.status), run.title, run.waiting_for)
        is_deleted = run.output_deleted is not None
        version = (run.epoch, *words, run.stalled, tasks, dropped, is_deleted)
        return cls(version, run.last_seq, run.is_final, run_json(run), is_deleted)

    def to_message(self) -> dict:
        version, last_seq, is_final, run, is_deleted = astuple(self)
        message = {"version": version, "last_seq": last_seq, "is_final": is_final, "run": run}
        # Only where it is so: a process of the version before does not know the word.
        return message | {"is_deleted": True} if is_deleted else message

    @classmethod
    def from_message(cls, message: dict) -> "State":
        return cls(**{**message, "version": _as_tuples(message["version"])})


def _as_tuples(value):
    # On its way over the layer a tuple becomes a list.
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


class News:
    """What a feed's readers wait for until the next wake()."""

    def __init__(self):
        self._told = False
        self._waiting: set[asyncio.Future] = set()

    def tell(self) -> None:
        self._told = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(True)
        self._waiting.clear()

    def join(self) -> asyncio.Future:
        """A future of the caller's own: True at the wake-up. Give it to leave()."""
        waiter = asyncio.get_running_loop().create_future()
        if self._told:
            waiter.set_result(True)
        else:
            self._waiting.add(waiter)
        return waiter

    def leave(self, waiter: asyncio.Future) -> None:
        self._waiting.discard(waiter)


class Feed:
    """What this process knows of one watched run."""

    def __init__(self, run_pk: int):
        self.run_pk = run_pk
        self.state: State | None = None
        self.last_seq = 0
        self.gone = False
        self.readers = 0
        self.quiet = True
        self._window: deque[Batch] = deque()
        self._window_bytes = 0
        self._news = News()

    def deliver(self, batches: list[Batch]) -> None:
        """Batches that were stored, in seq order; what is known already is ignored."""
        for batch in batches:
            if self._window and batch.last_seq <= self._window[-1].last_seq:
                continue
            if self._window and batch.first_seq != self._window[-1].last_seq + 1:
                # A hint was lost; readers find the rest in the database.
                metrics.FEED_LOST.inc()
                self._window.clear()
                self._window_bytes = 0
            self._window.append(batch)
            self._window_bytes += len(batch.lines)
            self.last_seq = max(self.last_seq, batch.last_seq)
        while self._window_bytes > WINDOW_BYTES and len(self._window) > 1:
            self._window_bytes -= len(self._window.popleft().lines)
        self.wake()

    def tell(self, state: State) -> None:
        """The run's own state, from whoever changed or read it."""
        if self.state and (self.state.is_final, self.state.is_deleted) > (
            state.is_final,
            state.is_deleted,
        ):
            return  # an older one, overtaken on its way
        self.state = state
        self.last_seq = max(self.last_seq, state.last_seq)
        self.wake()

    def wake(self) -> None:
        self.quiet = False
        self._news.tell()
        self._news = News()

    def news(self) -> News:
        """Told at the next wake(). Take it before looking, wait for it after."""
        return self._news

    def after(self, seq: int) -> list[Batch] | None:
        """Recent batches that follow `seq` without a gap; None if they are not here."""
        window = self._window
        if not window or window[0].first_seq > seq + 1 or window[-1].last_seq <= seq:
            return None
        found: list[Batch] = []
        for batch in reversed(window):
            if batch.last_seq <= seq:
                break
            found.append(batch)
        found.reverse()
        if found[0].first_seq <= seq:
            found[0] = found[0].after(seq)
        return found


class Feeds:
    """All feeds of this process, and the one query a second that backs them."""

    def __init__(self, hints: Hints):
        self._feeds: dict[int, Feed] = {}
        self._listeners: set[asyncio.Queue] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.Task | None = None
        self._listing: asyncio.Task | None = None
        self._listed: asyncio.Task | None = None
        self._hints = hints
        self._ears: dict[int, asyncio.Task] = {}

    def attach(self) -> None:
        """From here on what is told goes to other processes, whether we have readers or not."""
        self._loop = asyncio.get_running_loop()
        self._hints.attach()

    @asynccontextmanager
    async def join(self, run_pk: int) -> AsyncIterator[Feed]:
        self._loop = asyncio.get_running_loop()
        feed = self._feeds.get(run_pk)
        if feed is None:
            feed = self._feeds[run_pk] = Feed(run_pk)
            if self._hints.are_sent:
                self._ears[run_pk] = asyncio.create_task(self._listen(run_pk), name="hints")
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_after_quiet_ones(), name="feeds")
        feed.readers += 1
        try:
            yield feed
        finally:
            feed.readers -= 1
            if not feed.readers and self._feeds.get(run_pk) is feed:
                del self._feeds[run_pk]
                if ear := self._ears.pop(run_pk, None):
                    ear.cancel()

    async def _listen(self, run_pk: int) -> None:
        async def look() -> None:
            # What came before we listened was told to nobody here.
            found = await database.read(_states, [run_pk])
            self._compare(run_pk, found.get(run_pk))

        await self._hints.listen(_group(run_pk), partial(self._hear, run_pk), look)

    def _hear(self, run_pk: int, message: dict) -> None:
        feed = self._feeds.get(run_pk)
        if feed is None:
            return
        if message["type"] == "state":
            feed.tell(State.from_message(message["state"]))
        else:
            feed.deliver([Batch(*batch) for batch in message["batches"]])

    def deliver(self, run_pk: int, batches: list[Batch]) -> None:
        """From the recorder of this process, on the event loop."""
        if feed := self._feeds.get(run_pk):
            feed.deliver(batches)
        if self._hints.are_sent:
            for batch in batches:
                # Not astuple(), which copies deeply: 14 µs for each batch.
                parts = batch.first_seq, batch.last_seq, batch.lines
                message = {"type": "batches", "batches": [parts]}
                self._hints.send(_group(run_pk), message, len(batch.lines))

    def tell(self, run: Run) -> None:
        """A run as it is in the database now. From any thread."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return  # nobody in this process has ever watched
        try:
            loop.call_soon_threadsafe(self._tell, run.pk, State.of(run))
        except RuntimeError:
            log.debug("The event loop ended while run %d changed.", run.pk)

    def _tell(self, run_pk: int, state: State) -> None:
        if feed := self._feeds.get(run_pk):
            feed.tell(state)
        self._hints.send(_group(run_pk), {"type": "state", "state": state.to_message()})
        for listener in self._listeners:
            listener.put_nowait(run_pk)

    @asynccontextmanager
    async def changed_runs(self) -> AsyncIterator[asyncio.Queue]:
        """A queue of pks: at once on a change told here, within a second on any other."""
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[int] = asyncio.Queue()
        self._listeners.add(queue)
        if self._listing is None or self._listing.done():
            self._listed = asyncio.create_task(database.read(_all_listed))
            self._listing = asyncio.create_task(self._look_at_list(), name="run list feed")
        try:
            # What changes after this is told; a listener reads the list after it.
            await asyncio.shield(self._listed)
            yield queue
        finally:
            self._listeners.discard(queue)

    async def _look_after_quiet_ones(self) -> None:
        """Notice what no hint told of: one query a second for all quiet runs."""
        while self._feeds:
            await asyncio.sleep(LOOK_SECONDS)
            quiet = [feed.run_pk for feed in self._feeds.values() if feed.quiet]
            for feed in self._feeds.values():
                feed.quiet = True
            if not quiet:
                continue
            try:
                found = await database.read(_states, quiet)
            except Exception:
                log.exception("Looking after quiet runs failed, trying again")
                continue
            for run_pk in quiet:
                self._compare(run_pk, found.get(run_pk))

    async def _look_at_list(self) -> None:
        """Tell listeners of progress, and of what other processes did; a query a second."""
        newest, known = await self._listed
        while self._listeners:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                found = await database.read(_listed, newest)
            except Exception:
                log.exception("Looking at the list of runs failed, trying again")
                continue
            changed = {pk for pk in known | found if known.get(pk) != found.get(pk)}
            known, newest = found, max(newest, *found) if found else newest
            for listener in self._listeners:
                for run_pk in changed:
                    listener.put_nowait(run_pk)

    def _compare(self, run_pk: int, state: State | None) -> None:
        feed = self._feeds.get(run_pk)
        if feed is None or (feed.state and feed.state.is_final and state):
            return
        if state is None:
            feed.gone = True
            feed.wake()
        elif feed.state is None or (state.version, state.last_seq) != (
            feed.state.version,
            feed.last_seq,
        ):
            feed.tell(state)


def _group(run_pk: int) -> str:
    return f"run.{run_pk}"


def _states(pks: list[int]) -> dict[int, State]:
    return {run.pk: State.of(run) for run in Run.objects.filter(pk__in=pks)}


def _all_listed() -> tuple[int, dict[int, tuple]]:
    newest = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return newest, _listed(newest)


def _listed(newest: int) -> dict[int, tuple]:
    """What changes of the active runs, and of those that are newer than `newest`."""
    rows = Run.objects.filter(IS_ACTIVE | Q(pk__gt=newest)).values_list(
        "pk", "status", "title", "stalled", "last_seq"
    )
    return {row[0]: row[1:] for row in rows}


def announce(run: Run) -> None:
    """Tell readers of a run whose status, title, tasks or stall was just changed.

    Called by whoever made the change, with the run as it is in the database now.
    From any thread.
    """
    feeds.tell(run)


async def announce_stored(run_pk: int) -> None:
    """announce() for whoever has not read the run again."""
    announce(await database.insist(_stored, run_pk, through=database.read))


def _stored(run_pk: int) -> Run:
    return Run.objects.get(pk=run_pk)


feeds = Feeds(hints)
