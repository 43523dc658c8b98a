"""The output cap: what a run keeps when it prints more than it may."""

from collections import deque

# Marks are this far apart, so that a run of one-byte chunks needs no more of them.
MARK_BYTES = 64 * 1024


class OutputCap:
    """Decide which whole chunks go: those between the first 3/4 and the last 1/4 of the cap.

    add() is told of each chunk in seq order; take_drop() then says which to delete.
    Deletion goes in steps of 1/64 of the cap, so a flood pays for few of them.
    """

    def __init__(self, limit: int, total: int = 0, last_seq: int = 0, dropped: dict | None = None):
        self._head_limit = limit * 3 // 4
        self._tail_limit = limit // 4
        self._step = max(limit // 64, 1)
        self._limit = limit
        self.total = total
        self._head = (last_seq, total)
        self._marks: deque[tuple[int, int]] = deque()
        self.dropped = dropped
        if dropped:
            # Of the tail's bytes nothing is known any more: it is kept whole.
            self._head = (dropped["from_seq"] - 1, total - dropped["bytes"])
            self._marks.append((dropped["to_seq"], total))

    @property
    def head_left(self) -> int:
        """Bytes that may still come before single chunks have to be looked at."""
        return 0 if self._marks else self._head_limit - self.total

    @property
    def edges(self) -> set[int]:
        """The seqs behind which a hole may begin, and with which one may end."""
        edges = {self._head[0], *(seq for seq, _ in self._marks)}
        if self.dropped:
            edges |= {self.dropped["from_seq"] - 1, self.dropped["to_seq"]}
        return edges

    @property
    def reached(self) -> bool:
        return self.total > self._limit

    def add(self, seq: int, size: int) -> None:
        self.total += size
        if not self._marks and self.total <= self._head_limit:
            self._head = (seq, self.total)
        elif not self._marks or self.total - self._marks[-1][1] >= min(MARK_BYTES, self._step):
            self._marks.append((seq, self.total))

    def take_drop(self) -> tuple[int, int] | None:
        """(first seq, last seq) to delete now, or None; `dropped` then tells of it."""
        if not self.reached:
            return None
        from_seq, kept = self._head[0] + 1, self._head[1]
        done_seq, done_bytes = from_seq - 1, 0
        if self.dropped:
            done_seq, done_bytes = self.dropped["to_seq"], self.dropped["bytes"]
        edge = None
        while self._marks and self._marks[0][1] <= self.total - self._tail_limit:
            edge = self._marks.popleft()
        if edge is None:
            return None
        size = edge[1] - kept
        if edge[0] <= done_seq or size - done_bytes < self._step:
            self._marks.appendleft(edge)
            return None
        self.dropped = {
            "from_seq": from_seq,
            "to_seq": edge[0],
            "chunks": edge[0] - from_seq + 1,
            "bytes": size,
        }
        return done_seq + 1, edge[0]
