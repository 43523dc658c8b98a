"""Which lines of two outputs belong together: a diff over hashes of lines.

Lines that stand once on either side are anchors (patience diff); what lies between two
anchors is aligned in the same way, and where there are none by Myers' algorithm ("An
O(ND) difference algorithm and its variations", 1986) as far as few lines differ.

Both are done window by window, so that a million lines take no more memory than one
window, and for no more than so many steps in all: what is left then counts as replaced.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

# Lines of either side that are looked at together. More lines than these that are only
# on one side may be told as replaced where a longer look would find what follows them.
WINDOW = 20_000
# Lines that differ between two anchors, for Myers' algorithm.
MOST_EDITS = 200
MOST_STEPS = 12_000_000
# Lines ahead that are looked at first, and how many must be alike there.
NEAR, ALIKE = 3, 4

Block = tuple[int, int, int]  # i, j, n: a[i:i+n] == b[j:j+n]


class Steps:
    """How much work is left; `check` is called now and then and may raise."""

    def __init__(self, most: int = MOST_STEPS, check: Callable[[], None] = lambda: None):
        self.left = most
        self._check = check

    def take(self, count: int) -> bool:
        self._check()
        self.left -= count
        return self.left > 0


def blocks(a: Sequence[int], b: Sequence[int], steps: Steps, window: int = WINDOW):
    """Yield what is the same in both, in order: Block after Block, none of them empty."""
    i = j = 0
    tail = _same_tail(a, b)
    end_a, end_b = len(a) - tail, len(b) - tail
    while i < end_a and j < end_b:
        if same := _same_head(a, b, i, j, end_a, end_b):
            yield i, j, same
            i, j = i + same, j + same
            continue
        if (near := _near(a, b, i, j, end_a, end_b)) != (i, j):
            i, j = near
            continue
        upto_a, upto_b = min(i + window, end_a), min(j + window, end_b)
        found = list(_aligned(a[i:upto_a], b[j:upto_b], steps))
        yield from ((x + i, y + j, n) for x, y, n in found)
        if upto_a == end_a and upto_b == end_b:
            break
        x, y, n = found[-1] if found else (0, 0, 0)
        # Half a window at least, whatever was found: else the same lines were looked at
        # again and again.
        i += min(max(x + n, window // 2), upto_a - i)
        j += min(max(y + n, window // 2), upto_b - j)
    if tail:
        yield end_a, end_b, tail


def _same_head(a, b, i: int, j: int, end_a: int, end_b: int) -> int:
    """How many lines from a[i] and b[j] on are the same."""
    most, same, step = min(end_a - i, end_b - j), 0, 1
    # By slices, which are compared without Python; from one line on, since most often
    # it is none.
    while same < most and a[i + same : i + same + step] == b[j + same : j + same + step]:
        same += step
        step = min(step * 2, 4096)
    same = min(same, most)
    while same < most and a[i + same] == b[j + same]:
        same += 1
    return same


def _near(a, b, i: int, j: int, end_a: int, end_b: int) -> tuple[int, int]:
    """Where both go on alike after a few lines that do not; (i, j) if they do not soon.

    Most differences are a line here and there: no window is looked at for them.
    """
    for edits in range(1, 2 * NEAR + 1):
        for x in range(max(0, edits - NEAR), min(edits, NEAR) + 1):
            y = edits - x
            p, q = i + x, j + y
            if p + ALIKE > end_a or q + ALIKE > end_b or a[p] != b[q]:
                continue
            if a[p : p + ALIKE] == b[q : q + ALIKE]:
                return p, q
    return i, j


def _same_tail(a, b) -> int:
    most, same = min(len(a), len(b)), 0
    while same < most and a[-1 - same] == b[-1 - same]:
        same += 1
    return same


def _aligned(a, b, steps: Steps) -> Iterator[Block]:
    """Blocks of one window."""
    # What is still to be done, the next on top: a range of both, or a block to yield.
    todo: list[tuple] = [(0, len(a), 0, len(b))]
    while todo:
        item = todo.pop()
        if len(item) == 3:
            yield item
            continue
        low_a, high_a, low_b, high_b = item
        head = _same_head(a, b, low_a, low_b, high_a, high_b)
        if head:
            yield low_a, low_b, head
            low_a, low_b = low_a + head, low_b + head
        tail = 0
        while high_a > low_a and high_b > low_b and a[high_a - 1] == b[high_b - 1]:
            high_a, high_b, tail = high_a - 1, high_b - 1, tail + 1
        if tail:
            todo.append((high_a, high_b, tail))
        if low_a == high_a or low_b == high_b:
            continue
        if not steps.take(high_a - low_a + high_b - low_b):
            continue
        anchors = _anchors(a, b, low_a, high_a, low_b, high_b)
        if anchors:
            todo += _between(anchors, high_a, high_b, low_a, low_b)[::-1]
        else:
            todo += list(_edits(a[low_a:high_a], b[low_b:high_b], low_a, low_b, steps))[::-1]


def _anchors(a, b, low_a, high_a, low_b, high_b) -> list[tuple[int, int]]:
    """Lines that stand once in either range, those of them that are in the same order."""
    once_a, once_b = _once(a, low_a, high_a), _once(b, low_b, high_b)
    pairs = [(i, once_b[line]) for line, i in once_a.items() if line in once_b]
    # The longest rising series of their places in b.
    ends: list[int] = []
    chosen: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        place = bisect_left(ends, j)
        before.append(chosen[place - 1] if place else -1)
        if place == len(ends):
            ends.append(j)
            chosen.append(number)
        else:
            ends[place], chosen[place] = j, number
    series, number = [], chosen[-1] if chosen else -1
    while number >= 0:
        series.append(pairs[number])
        number = before[number]
    return series[::-1]


def _once(lines, low: int, high: int) -> dict[int, int]:
    """Where each line stands that stands once; in order."""
    places: dict[int, int] = {}
    for place in range(low, high):
        line = lines[place]
        places[line] = -1 if line in places else place
    return {line: place for line, place in places.items() if place >= 0}


def _between(anchors, high_a, high_b, low_a, low_b) -> list[tuple]:
    """The ranges between anchors, and the anchors as blocks."""
    parts: list[tuple] = []
    start, length = anchors[0], 0
    for i, j in [*anchors, (high_a, high_b)]:
        if length and (i, j) == (start[0] + length, start[1] + length):
            length += 1
            continue
        if length:
            parts.append((*start, length))
            low_a, low_b = start[0] + length, start[1] + length
        if i > low_a and j > low_b:
            parts.append((low_a, i, low_b, j))
        start, length = (i, j), 1
    return parts


def _edits(a, b, at_a: int, at_b: int, steps: Steps) -> Iterator[Block]:
    """Blocks by Myers' algorithm; none if more than MOST_EDITS lines differ."""
    furthest = {1: 0}
    trace = []
    for edits in range(min(len(a) + len(b), MOST_EDITS) + 1):
        trace.append(furthest.copy())
        if not steps.take(edits + 1):
            return
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and furthest.get(k - 1, -1) < furthest.get(k + 1, -1))
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            y = x - k
            start = x
            while x < len(a) and 0 <= y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            steps.left -= x - start
            furthest[k] = x
            if x >= len(a) and y >= len(b):
                yield from _walk(trace, x, y, at_a, at_b)
                return


def _walk(trace, x: int, y: int, at_a: int, at_b: int) -> list[Block]:
    """Back from the end to the start; the blocks that were passed, in order."""
    found: list[Block] = []
    for edits in range(len(trace) - 1, -1, -1):
        furthest, k = trace[edits], x - y
        down = k == -edits or (k != edits and furthest.get(k - 1, -1) < furthest.get(k + 1, -1))
        before_k = k + 1 if down else k - 1
        before_x = furthest.get(before_k, 0) if edits else 0
        before_y = before_x - before_k if edits else 0
        # Where the diagonal began, after the one edit.
        start_x = (before_x if down else before_x + 1) if edits else 0
        if x > start_x:
            found.append((start_x + at_a, start_x - k + at_b, x - start_x))
        x, y = before_x, before_y
    return found[::-1]
