"""Long logs: pages, the run's page and exports of a million chunks, alone and among others."""

import functools
import json
import random
import socket
import statistics
import time
from contextlib import contextmanager
from pathlib import Path

from .live import RATE, delays, seconds_of
from .servers import Failed, Site, fresh_directory
from .table import Measure, Row, percentile

CHUNKS = 1_000_000
OTHERS = 10_000_000
QUICK_CHUNKS = 100_000
PAGE = 1_000
PAGES = 60
FIRST_BYTES = 15
STEP_SECONDS = 0.001  # between two chunks, as seeding has it
RECEIVE_BYTES = 1024 * 1024
LOOK_EVERY = 64


class Seed:
    """A data directory that is filled once and then used again: filling takes minutes."""

    def __init__(self, count: int, others: int):
        self.count = count
        self.directory = fresh_directory()
        arguments = ["-m", "tests.benchmarks.seeding", str(count), str(others)]
        with Site(self.path) as site:
            self.run_id = site.manage(*arguments).strip()

    @property
    def path(self) -> Path:
        return Path(self.directory.name)


seed_of = functools.cache(Seed)


class Log:
    """A site with a finished run of `count` chunks in it."""

    def __init__(self, site: Site, seed: Seed):
        self.site, self.count, self.id = site, seed.count, seed.run_id
        self._session = site.log_in()

    def page_times(self, query: str, pages: int = PAGES) -> list[float]:
        """Milliseconds per page at random places; `query` holds {seq} or {at}."""
        connection = self.site.connect()
        headers = {"Authorization": f"Bearer {self.site.token}"}
        times = []
        for _ in range(pages):
            seq = random.randint(PAGE + 1, self.count - PAGE - 1)
            path = f"/api/runs/{self.id}/chunks?{query.format(seq=seq, at=seq * STEP_SECONDS)}"
            began = time.monotonic()
            connection.request("GET", path, headers=headers)
            body = connection.getresponse().read()
            times.append((time.monotonic() - began) * 1000)
            if len(json.loads(body)["items"]) != PAGE:
                raise Failed(f"{path} gave {body[:300]!r}")
        connection.close()
        return times

    def first_byte_times(self) -> list[float]:
        """Milliseconds until the first byte of the run's page."""
        times = []
        for _ in range(FIRST_BYTES):
            connection = self.site.connect()
            began = time.monotonic()
            connection.request("GET", f"/runs/{self.id}/", headers={"Cookie": self._session})
            response = connection.getresponse()
            times.append((time.monotonic() - began) * 1000)
            response.read()
            connection.close()
            if response.status != 200:
                raise Failed(f"the run's page was answered with {response.status}")
        return times

    def export(self) -> tuple[float, int]:
        """Chunks per second of an ndjson export, and by how much the server grew."""
        before = most = self.site.resident()
        began = time.monotonic()
        lines = reads = 0
        with socket.create_connection(("127.0.0.1", self.site.port), timeout=60) as download:
            download.sendall(
                f"GET /api/runs/{self.id}/export.ndjson HTTP/1.0\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {self.site.token}\r\n\r\n".encode()
            )
            while received := download.recv(RECEIVE_BYTES):
                lines += received.count(b'"seq":')
                reads += 1
                if reads % LOOK_EVERY == 0:
                    most = max(most, self.site.resident())
        seconds = time.monotonic() - began
        # A read may end inside of the word that is counted.
        if not self.count - reads <= lines <= self.count:
            raise Failed(f"the export held {lines} chunks")
        return self.count / seconds, max(most, self.site.resident()) - before


QUERIES = {"after": "after={seq}", "before": "before={seq}", "at": "at={at}"}


@contextmanager
def a_log(count: int, others: int = 0):
    seed = seed_of(count, others)
    with Site(seed.path) as site:
        yield Log(site, seed)


def take_log(quick: bool) -> dict[str, float]:
    with a_log(QUICK_CHUNKS if quick else CHUNKS) as log:
        pages = {
            f"page_{name}": statistics.median(log.page_times(query))
            for name, query in QUERIES.items()
        }
        rate, grown = log.export()
        return {
            **pages,
            "page": max(pages.values()),
            "first_byte": statistics.median(log.first_byte_times()),
            "export_rate": rate,
            "export_growth": grown / 1e6,
        }


def take_log_among_others(quick: bool) -> dict[str, float]:
    """The same latencies in two sites at once, of which one has much else in its database."""
    with a_log(CHUNKS) as alone, a_log(CHUNKS, OTHERS) as among:
        found: dict[str, float] = {}
        for name, query in QUERIES.items():
            found[f"among_page_{name}"] = ratio(
                lambda log, query=query: log.page_times(query, 10), alone, among
            )
        found["among_first_byte"] = ratio(Log.first_byte_times, alone, among)
        live = {log: [] for log in (alone, among)}
        for _ in range(3):
            for log, gathered in live.items():
                gathered += delays(log.site, 1, RATE, seconds_of(quick))["delays"]
        for percent in (50, 99):
            small, large = (percentile(gathered, percent) for gathered in live.values())
            found[f"among_live_p{percent}"] = large / small
        pages = max(found[f"among_page_{name}"] for name in QUERIES)
        return found | {"among_page": pages}


def ratio(times, alone: Log, among: Log, rounds: int = 6) -> float:
    """Taken in turns, so that whatever else the machine does meets both."""
    gathered: dict[Log, list[float]] = {alone: [], among: []}
    for _ in range(rounds):
        for log, list_of in gathered.items():
            list_of += times(log)
    return statistics.median(gathered[among]) / statistics.median(gathered[alone])


MEASURES = [
    Measure(
        "log",
        (
            Row("page", "a run of 1,000,000 chunks: any page of 1,000", "ms", 20),
            Row("first_byte", "  its page's first byte", "ms", 150),
            Row("export_rate", "  ndjson export", "chunks/s", 150_000, least=True),
            Row("export_growth", "  memory that it takes", "MB", 64),
        ),
        take_log,
    ),
    Measure(
        "log_among_others",
        (
            Row("among_page", "the same beside 10,000,000 other chunks: any page", "×", 1.2),
            Row("among_first_byte", "  the page's first byte", "×", 1.2),
            Row("among_live_p50", "  print to frame, 1 viewer: p50", "×", 1.2),
            Row("among_live_p99", "  p99", "×", 1.2),
        ),
        take_log_among_others,
        slow=True,
    ),
]
