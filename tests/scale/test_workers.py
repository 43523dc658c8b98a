"""Workers that are killed, frozen or stopped, with programs that die with them."""

import signal
import time

from tests.cluster import until

from .case import GRACE_SECONDS, ClusterCase


class WorkerTests(ClusterCase):
    def test_after_kill_9_another_worker_ends_its_50_runs_as_lost(self):
        first = self.worker()
        witnesses = self.launch_witnesses(50, lines=1000, pause=0.3)
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

    def test_a_worker_that_sleeps_longer_than_its_lease_writes_nothing_more_and_lives_on(self):
        sleeper = self.worker()
        witnesses = self.launch_witnesses(5, lines=1000, pause=0.1)
        silent = [self.witness(lines=1000) for _ in range(5)]
        for witness in silent:
            # Nothing that it does reaches the recorder, which would refuse it.
            witness.id = self.web.launch(f"({witness.program}) > /dev/null")["id"]
        witnesses += silent
        self.until_going(witnesses)
        other = self.worker()
        sleeper.send(signal.SIGSTOP)
        self.until_all("lost", seconds=15)
        recorded = self.rows("last_seq")
        sleeper.send(signal.SIGCONT)
        until(lambda: "".join(sleeper.printed).count("taken over by another") == 10)
        until(lambda: all(time.time() - w.file.stat().st_mtime > 1 for w in witnesses))
        self.assertEqual(self.rows("last_seq"), recorded)
        self.assertEqual(set(self.rows("status").values()), {"lost"})
        self.assertEqual({len(w.executions()) for w in witnesses}, {1})
        other.kill()
        self.assert_works()

    def test_a_stopped_worker_lets_its_runs_end_and_hears_of_cancels(self):
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
