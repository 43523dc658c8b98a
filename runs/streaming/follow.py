"""follow(): what every reader of a live run uses. (Shapes first; the loop below.)"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from .wire import Batch


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
    raise NotImplementedError
    yield
