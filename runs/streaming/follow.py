"""follow(): the one function through which everything that shows output reads it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass

from .. import metrics
from ..models import Run
from . import database
from .feed import Feed, News, State, feeds
from .reading import rows_after
from .wire import BATCH_BYTES, Batch, batches

# One read of the database on behalf of a reader that is behind.
PAGE_ROWS = 1000
PAGE_BYTES = 2 * BATCH_BYTES
HINT_AHEAD_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Output:
    """Stored chunks, in seq order, each after all that came before it."""

    batches: list[Batch]


@dataclass(frozen=True, slots=True)
class Changed:
    """The run's status, title, tasks or stall changed; `run` is the run's JSON."""

    run: bytes


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing happened for the seconds asked for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is final and every stored chunk was handed over; the last item."""

    run: bytes


@dataclass(frozen=True, slots=True)
class Gone:
    """The run was deleted; the last item."""


Item = Output | Changed | Idle | Ended | Gone


async def follow(
    run_pk: int, after: int = 0, idle_seconds: float | None = None
) -> AsyncIterator[Item]:
    """Everything of a run from seq `after` + 1 on, then what comes, until its end.

    Every stored chunk comes once and in seq order, whatever is lost, late or doubled
    on the way to this process. Begins with Changed, the run as it is. With
    `idle_seconds` an Idle comes after each so long a silence.
    """
    # Join before the first read. What is stored in between is then told twice at
    # worst, and its seq lets us drop the second copy; the other order loses it.
    with closing(Patience()) as patience:
        async with feeds.join(run_pk) as feed:
            cursor, known, is_live = after, None, False
            if feed.state is None:
                await _look(feed)
            while True:
                news, state = feed.news(), feed.state
                if feed.gone or state is None:
                    yield Gone()
                    return
                if known is None or (state.version != known and not state.is_final):
                    known = state.version
                    yield Changed(state.run)
                elif cursor < feed.last_seq:
                    found = feed.after(cursor)
                    if found:
                        is_live = True
                    else:
                        # Of one that still catches up with the past nothing else is expected.
                        metrics.READER_BEHIND.inc(is_live)
                        is_live = False
                        found = await database.read(_page, run_pk, cursor)
                    if found:
                        cursor = found[-1].last_seq
                        yield Output(found)
                    else:
                        # Told of, but not there: deleted, or a hint ran ahead of its commit.
                        await _look(feed)
                        if feed.state and feed.state.is_deleted:
                            # Nothing more will be found; the run's state says why.
                            cursor = feed.last_seq
                            continue
                        await patience.happens(news, HINT_AHEAD_SECONDS)
                elif state.is_final:
                    if state.version != known:
                        yield Changed(state.run)
                    yield Ended(state.run)
                    return
                else:
                    is_live = True
                    if not await patience.happens(news, idle_seconds):
                        yield Idle()


async def follow_runs() -> AsyncIterator[set[int]]:
    """Sets of pks of runs that changed: status, title and stall at once, progress each second.

    Visibility is the reader's business.
    """
    async with feeds.changed_runs() as queue:
        while True:
            changed = {await queue.get()}
            while not queue.empty():
                changed.add(queue.get_nowait())
            yield changed


async def _look(feed: Feed) -> None:
    state = await database.read(_state, feed.run_pk)
    if state is None:
        feed.gone = True
    else:
        feed.tell(state)


def _state(run_pk: int) -> State | None:
    run = Run.objects.filter(pk=run_pk).first()
    return run and State.of(run)


def _page(run_pk: int, after: int) -> list[Batch]:
    """The next stored batches; about as much as a live reader gets in one step."""
    return list(batches(rows_after(run_pk, after, PAGE_ROWS, max_bytes=PAGE_BYTES)))


class Patience:
    """Waits for news, but only so long; one timer, however often it waits.

    The readers of a live run wait anew with each of its batches, and a timer for
    each wait costs more than the wait.
    """

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    async def happens(self, news: News, seconds: float | None) -> bool:
        """True with the news, False after `seconds` without."""
        if seconds is not None:
            self._until = self._loop.time() + seconds
            if self._timer is None or self._timer.when() > self._until:
                self.close()
                self._timer = self._loop.call_at(self._until, self._look)
        else:
            self._until = float("inf")
        self._waiter = waiter = news.join()
        try:
            return await waiter
        finally:
            self._waiter = None
            news.leave(waiter)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None or self._until == float("inf"):
            return  # the next wait brings a timer of its own
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._look)
        elif not self._waiter.done():
            self._waiter.set_result(False)

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
