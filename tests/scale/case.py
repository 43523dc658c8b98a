"""What the tests of several processes share: a cluster, and programs that bear witness."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.test import SimpleTestCase

from tests.cluster import Cluster, Web, Worker, until

LEASE_SECONDS, GRACE_SECONDS = 3, 5
ENVIRONMENT = {
    "STREAMSITE_LEASE_SECONDS": str(LEASE_SECONDS),
    "STREAMSITE_GRACE_SECONDS": str(GRACE_SECONDS),
    # Witnesses have to write where the test can read.
    "STREAMSITE_LOCAL_CONFINE": "0",
    "STREAMSITE_LOCAL_ALLOW_UNCONFINED": "1",
}

ENDLESS = 100_000

# It says outside of every recording when it ran, and under a name of its own each time.
WITNESS = """
me=$(cat /proc/sys/kernel/random/uuid)
echo "start $me"
i=0
while :; do
  i=$((i+1)); echo "line $i"
  echo "$me $(date +%s.%N)" >> {file}
  [ $i -lt {lines} ] && [ ! -e {file}.end ] || break
  sleep {pause}
done
echo "end $me"
"""


class Witness:
    """A program that prints numbered lines, and what it did by its own account.

    It ends after so many lines, or when it is let: how fast it is the machine decides.
    """

    def __init__(self, directory: Path, lines: int = ENDLESS, pause: float = 0.2):
        self.file = directory / f"witness-{uuid.uuid4().hex}"
        self.program = WITNESS.format(file=self.file, lines=lines, pause=pause)
        self.id = ""

    def let_end(self) -> None:
        Path(f"{self.file}.end").touch()

    def executions(self) -> dict[str, tuple[float, float]]:
        """When each execution first and last gave a sign of life."""
        found: dict[str, tuple[float, float]] = {}
        for line in self.file.read_text().splitlines() if self.file.exists() else ():
            name, at = line.split()
            found[name] = found.get(name, (float(at),))[0], float(at)
        return found

    def whole_text(self) -> str:
        (name,) = self.executions()  # exactly one
        lines = len(self.file.read_text().splitlines())
        middle = "".join(f"line {n}\n" for n in range(1, lines + 1))
        return f"start {name}\n{middle}end {name}\n"


class ClusterCase(SimpleTestCase):
    """conftest starts its cluster and web process; workers are each test's own."""

    cluster: Cluster
    web: Web

    def setUp(self):
        self.workers: list[Worker] = []
        self.log_begins = len(self.cluster.postgresql.log.read_text())

    def tearDown(self):
        for worker in self.workers:
            worker.kill()
        log = self.cluster.postgresql.log.read_text()[self.log_begins :]
        # Not TRUNCATE: web processes may be reading.
        self.cluster.sql("DELETE FROM runs_chunk")
        self.cluster.sql("DELETE FROM runs_run")
        self.cluster.sql("TRUNCATE procrastinate_jobs CASCADE")
        self.assertNotIn("deadlock detected", log)

    def until_going(self, witnesses: list[Witness]) -> None:
        until(lambda: all(witness.file.exists() for witness in witnesses), 60)

    def worker(self, concurrency: int = 100, **environment: str) -> Worker:
        worker = self.cluster.worker(concurrency, **environment)
        self.workers.append(worker)
        return worker

    # --- runs ------------------------------------------------------------------

    def witness(self, lines: int = ENDLESS, pause: float = 0.2) -> Witness:
        return Witness(self.cluster.data_dir, lines, pause)

    def launch_witnesses(self, count: int, lines: int = ENDLESS, pause: float = 0.2, **fields):
        witnesses = [self.witness(lines, pause) for _ in range(count)]
        with ThreadPoolExecutor(6) as pool:
            programs = [witness.program for witness in witnesses]
            runs = list(pool.map(lambda program: self.web.launch(program, **fields), programs))
        for witness, run in zip(witnesses, runs, strict=True):
            witness.id = run["id"]
        return witnesses

    def let_end(self, witnesses: list[Witness]) -> None:
        for witness in witnesses:
            witness.let_end()

    def rows(self, column: str) -> dict[str, object]:
        """A column of every run by its public id."""
        return dict(self.cluster.sql(f"SELECT public_id, {column} FROM runs_run"))

    def until_all(self, *statuses: str, seconds: float = 60) -> None:
        try:
            until(lambda: set(self.rows("status").values()) <= set(statuses), seconds)
        except AssertionError:
            columns = "status, executor, epoch, last_seq, error, lease_until - now()"
            query = f"SELECT public_id, {columns} FROM runs_run WHERE NOT status = ANY(%s)"
            printed = ["".join(worker.printed)[-3000:] for worker in self.workers]
            self.fail("\n".join(map(str, self.cluster.sql(query, list(statuses)) + printed)))

    def carried_by(self, worker: Worker) -> set[str]:
        """The public ids of what it has, or had when it died."""
        found = self.rows("executor").items()
        return {run_id for run_id, name in found if f":{worker.process.pid}:" in name}

    def text(self, run_id: str) -> str:
        return "".join(c["text"] for c in self.web.chunks(run_id) if c["stream"] == "stdout")

    def assert_whole(self, witness: Witness) -> None:
        """It ran once, succeeded, and every character is in its recording once."""
        run = self.web.run(witness.id)
        self.assertEqual(run["status"], "succeeded", run["error"])
        self.assertEqual(self.text(witness.id), witness.whole_text())
        seqs = [chunk["seq"] for chunk in self.web.chunks(witness.id)]
        self.assertEqual(seqs, list(range(1, run["last_seq"] + 1)))

    def assert_works(self) -> None:
        run = self.web.ended(self.web.launch("echo it works")["id"])
        self.assertEqual((run["status"], self.text(run["id"])), ("succeeded", "it works\n"))
