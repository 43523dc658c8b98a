"""Workers that are killed, frozen or stopped, with programs that die with them."""

import signal
import time
from itertools import pairwise

import pytest

from tests.cluster import Worker, until

from .case import GRACE_SECONDS, ClusterCase


class KilledTests(ClusterCase):
    def go_through(self, count: int) -> None:
        first = self.worker()
        witnesses = self.launch_witnesses(count)
        self.until_going(witnesses)
        self.worker()
        killed_at = time.time()
        first.kill()
        self.until_all("lost", seconds=10)
        for run_id, error in self.rows("error").items():
            self.assertIn("The server ended without ending this run", error)
            self.assertIn(error, self.web.chunks(run_id)[-1]["text"])
        self.assert_works()
        for witness in witnesses:
            ((_, last),) = witness.executions().values()
            self.assertLess(last, killed_at + 1)

    def test_after_kill_9_another_worker_ends_its_runs_as_lost(self):
        self.go_through(10)

    @pytest.mark.slow
    def test_after_kill_9_another_worker_ends_its_50_runs_as_lost(self):
        self.go_through(50)

    def test_no_run_is_executed_twice_at_once_whose_worker_is_killed_as_it_begins(self):
        self.worker()
        witnesses = self.launch_witnesses(5)
        self.until_going(witnesses)
        other = self.worker()
        witnesses += self.launch_witnesses(15)
        self.workers[0].kill()
        until(lambda: self.carried_by(other) == {witness.id for witness in witnesses})
        self.let_end(witnesses)
        self.until_all("lost", "succeeded")
        for witness in witnesses:
            executions = sorted(witness.executions().items(), key=lambda one: one[1])
            for (_, (_, last)), (_, (first, _)) in pairwise(executions):
                self.assertLess(last, first)
            if self.web.run(witness.id)["status"] == "succeeded":
                self.assertIn(f"end {executions[-1][0]}\n", self.text(witness.id))


class FrozenTests(ClusterCase):
    """SIGSTOP for longer than a lease, then SIGCONT."""

    def test_it_writes_nothing_more_notices_and_lives_on(self):
        sleeper = self.worker()
        witnesses = self.launch_witnesses(5, pause=0.1)
        silent = [self.witness() for _ in range(5)]
        for witness in silent:
            # Nothing that it does reaches the recorder, which would refuse it.
            witness.id = self.web.launch(f"({witness.program}) > /dev/null")["id"]
        witnesses += silent
        self.until_going(witnesses)
        other = self.worker()
        sleeper.send(signal.SIGSTOP)
        self.until_all("lost", seconds=30)
        recorded = self.rows("last_seq")
        sleeper.send(signal.SIGCONT)
        self.until_noticed(sleeper, 10)
        until(lambda: all(time.time() - w.file.stat().st_mtime > 1 for w in witnesses))
        self.assertEqual(self.rows("last_seq"), recorded)
        self.assertEqual(set(self.rows("status").values()), {"lost"})
        self.assertEqual({len(w.executions()) for w in witnesses}, {1})
        other.kill()
        self.assert_works()

    def test_what_it_has_locked_does_not_hold_up_who_takes_over(self):
        sleeper = self.worker()
        # With so much to store at once that it takes a transaction of several statements.
        for _ in range(2):
            self.web.launch(
                "import os\nwhile True:\n    os.write(1, b'out\\n')\n    os.write(2, b'err\\n')\n",
                kind="python",
            )
        until(lambda: all(self.rows("last_seq").values()))
        until(lambda: self.has_frozen_in_transaction(sleeper))
        self.worker()
        self.until_all("lost", seconds=30)
        self.assert_works()
        sleeper.send(signal.SIGCONT)
        self.until_noticed(sleeper, 2)

    def has_frozen_in_transaction(self, worker: Worker) -> bool:
        """It goes on if the moment was another."""
        worker.send(signal.SIGSTOP)
        time.sleep(0.05)  # PostgreSQL has done by then what it was asked to
        held = (
            "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid) "
            "WHERE relation = 'runs_run'::regclass AND mode = 'RowExclusiveLock' "
            "AND wait_event = 'ClientRead'"
        )
        if self.cluster.sql(held) != [(0,)]:
            return True
        worker.send(signal.SIGCONT)
        return False

    def until_noticed(self, worker: Worker, count: int) -> None:
        until(lambda: "".join(worker.printed).count("taken over by another") >= count)


class StoppedTests(ClusterCase):
    def test_it_lets_its_runs_end_and_hears_of_cancels(self):
        worker = self.worker()
        gate = self.cluster.data_dir / "gate"
        waits = self.web.launch(f"until [ -e {gate} ]; do sleep 0.05; done; echo through")
        unwanted = self.web.launch("echo on; sleep 600")
        endless = self.web.launch("echo on; sleep 600")
        self.until_all("running")
        worker.send(signal.SIGTERM)
        stopped_at = time.monotonic()
        later = self.web.launch("echo later")
        gate.touch()
        run = self.web.ended(waits["id"])
        self.assertEqual((run["status"], self.text(run["id"])), ("succeeded", "through\n"))
        self.web.request("POST", unwanted["urls"]["cancel"])
        run = self.web.ended(unwanted["id"])
        self.assertEqual((run["status"], run["error"]), ("cancelled", "The run was cancelled."))
        self.assertLess(time.monotonic() - stopped_at, GRACE_SECONDS)
        self.assertEqual(worker.process.wait(30), 0)
        self.assertGreater(time.monotonic() - stopped_at, GRACE_SECONDS - 1)
        run = self.web.run(endless["id"])
        self.assertEqual((run["status"], run["error"]), ("cancelled", "The server was stopped."))
        self.assertEqual(self.web.run(later["id"])["status"], "queued")
        self.worker()
        self.assertEqual(self.web.ended(later["id"])["status"], "succeeded")

    @pytest.mark.slow
    def test_without_a_database_it_stops_all_the_same(self):
        worker = self.worker()
        run = self.web.launch("while :; do echo on; sleep 0.1; done")
        self.until_all("running")
        self.cluster.postgresql.stop()
        try:
            worker.send(signal.SIGTERM)
            self.assertEqual(worker.process.wait(60), 0)
        finally:
            self.cluster.postgresql.start()
        self.worker()
        run = self.web.ended(run["id"])
        self.assertEqual(run["status"], "lost")
        self.assertIn("not known", self.web.chunks(run["id"])[-1]["text"])
