"""The cluster that is measured: its servers once, its web processes and workers anew each time."""

import atexit
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import Cluster, Web, Worker, until
from tests.uvicorn_site import Uvicorn

from .servers import Failed

SERVERS = {"daphne": Web, "uvicorn": Uvicorn}
TICKS = os.sysconf("SC_CLK_TCK")
# One user has at most nine tenths of a worker's places.
CONCURRENCY = 300
LAUNCH_SECONDS = 120


@functools.cache
def the_cluster() -> Cluster:
    cluster = Cluster(STREAMSITE_SANDBOX="local", STREAMSITE_LOG_LEVEL="WARNING")
    cluster.__enter__()
    atexit.register(cluster.close)
    # As PostgreSQL comes: a commit is on the disk before anybody is told. Tests do without.
    cluster.sql("ALTER DATABASE postgres SET synchronous_commit = on")
    return cluster


class Team:
    """Web processes and workers of the cluster."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.webs: list[Web] = []
        self.workers: list[Worker] = []

    def launch_ready(self, count: int, program: str) -> list[dict]:
        """Launch a program that says when it is ready, so many times, and wait for all."""
        fields = {"kind": "python", "stdin": True, "timeout": 0}
        with ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(lambda _: self.webs[0].launch(program, **fields), range(count)))
        ready = "SELECT count(*) FROM runs_run WHERE last_seq > 0 AND public_id = ANY(%s)"
        ids = [run["id"] for run in runs]
        until(lambda: self.cluster.sql(ready, ids) == [(count,)], LAUNCH_SECONDS)
        return runs

    def cpu_seconds(self) -> dict[str, float]:
        """By room, and of the whole machine, whoever else works there."""
        return {
            "web": sum(_cpu_seconds(web.process.pid) for web in self.webs),
            "worker": sum(_cpu_seconds(worker.process.pid) for worker in self.workers),
            "postgresql": _family_seconds(self.cluster.postgresql.process.pid),
            "redis": _cpu_seconds(self.cluster.redis.process.pid),
            "machine": _busy_seconds(),
        }


@contextmanager
def a_team(server: str = "daphne", webs: int = 1, workers: int = 1):
    """Raises Failed for whatever does not start or answer."""
    team = Team(the_cluster())
    try:
        team.cluster.sql("TRUNCATE runs_chunk, runs_run, procrastinate_jobs CASCADE")
        for _ in range(webs):
            web = SERVERS[server](team.cluster)
            team.webs.append(web)
            web.start()
        for _ in range(workers):
            team.workers.append(team.cluster.worker(CONCURRENCY))
        yield team
    except AssertionError as error:
        raise Failed(str(error)[-2000:]) from error
    finally:
        for process in [*team.webs, *team.workers]:
            if process.process:
                process.kill()


def _family_seconds(pid: int) -> float:
    """Of a process and its children; of those that have ended, too."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _cpu_seconds(pid, of_ended=True) + sum(_cpu_seconds(int(child)) for child in children)


def _cpu_seconds(pid: int, of_ended: bool = False) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # a child that has just ended
    return sum(map(int, fields[11 : 15 if of_ended else 13])) / TICKS


def _busy_seconds() -> float:
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, *interrupts = map(int, stat.readline().split()[1:9])
    return (user + nice + system + sum(interrupts[:2])) / TICKS
