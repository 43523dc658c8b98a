"""From what a sandbox hands over to drafts of chunks: masked, with its event lines found."""

from collections.abc import Iterable

from ..models import STREAM_CODES
from .lines import Draft, EventLines
from .masking import Masker, Secrets

# What is masked as it comes; all else comes whole.
TEXTS = frozenset({"stdout", "stderr"})


class Drafting:
    """One run's output on its way to the recorder.

    `maskers` holds those of the tasks' standard streams by "task:stream", as offsets
    do. While `deadline` is not None a line is being held: call release() at that time.
    """

    def __init__(self, secrets: Secrets, offsets: dict[str, list[int]]):
        """`offsets`: where in its streams the program's output begins."""
        self.maskers: dict[str, Masker] = {}
        self._secrets = secrets
        self._offsets = offsets
        self._lines: dict[int, EventLines] = {}

    @property
    def deadline(self) -> float | None:
        return min((one.deadline for one in self._lines.values() if one.deadline), default=None)

    def feed(self, task: int, stream: str, text: str, data: str | None, at: float) -> list[Draft]:
        """`data`: JSON or None; `at`: time.monotonic() of the first byte."""
        if stream not in TEXTS:
            if self._secrets:
                text = self._secrets.masked(text)
                data = data and self._secrets.masked(data)
            return [Draft(task, STREAM_CODES[stream], text, data, at)]
        if self._secrets:
            text, at = self._masker(task, stream).feed(text, at)
        return self._drafts(task, stream, text, at)

    def feed_all(self, pieces: list[tuple]) -> list[list[Draft]]:
        """What feed() makes of each; secrets are looked for once in all that came together."""
        clear = self._clear_streams(pieces) if self._secrets else frozenset()
        return [
            self._drafts(task, stream, text, at)
            if (task, stream) in clear
            else self.feed(task, stream, text, data, at)
            for task, stream, text, data, at in pieces
        ]

    def _clear_streams(self, pieces: Iterable[tuple]) -> set[tuple[int, str]]:
        texts: dict[tuple[int, str], list[str]] = {}
        for task, stream, text, _, _ in pieces:
            if stream in TEXTS:
                texts.setdefault((task, stream), []).append(text)
        return {key for key, some in texts.items() if self._masker(*key).lets_pass("".join(some))}

    def release(self, now: float) -> list[Draft]:
        """What was held for too long."""
        held = [one for one in self._lines.values() if one.deadline and one.deadline <= now]
        return [draft for one in held for draft in one.release()]

    def end(self) -> list[Draft]:
        """What was held: nothing follows."""
        drafts = []
        for key, masker in self.maskers.items():
            task, _, stream = key.partition(":")
            drafts += self._drafts(int(task), stream, *masker.end())
        return drafts + [draft for one in self._lines.values() for draft in one.end()]

    def _drafts(self, task: int, stream: str, text: str, at: float) -> list[Draft]:
        if not text:
            return []
        if stream == "stderr":
            return [Draft(task, STREAM_CODES[stream], text, None, at)]
        if task not in self._lines:
            self._lines[task] = EventLines(task)
        return self._lines[task].feed(text, at)

    def _masker(self, task: int, stream: str) -> Masker:
        key = f"{task}:{stream}"
        if key not in self.maskers:
            self.maskers[key] = Masker(self._secrets, *self._offsets.get(key, ()))
        return self.maskers[key]
