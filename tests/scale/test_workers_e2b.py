"""Workers that are killed, frozen or stopped, with programs that outlive them."""

import signal
import time

from tests.cluster import until
from tests.doubles.e2b import E2BDouble

from .case import ClusterCase, Witness


class E2BWorkerTests(ClusterCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.double = E2BDouble()
        cls.addClassCleanup(cls.double.close)
        cls.web = cls.cluster.web(**cls.double.environment)
        cls.addClassCleanup(cls.web.kill)

    def e2b_worker(self):
        return self.worker(**self.double.environment)

    def assert_each_went_on_once(self, witnesses: list[Witness]) -> None:
        for witness in witnesses:
            self.assert_whole(witness)
        self.assertEqual(set(self.rows("epoch").values()), {2})
        until(lambda: not self.double.sandboxes)

    def test_after_kill_9_another_worker_goes_on_with_its_50_runs(self):
        first = self.e2b_worker()
        witnesses = self.launch_witnesses(50, lines=44, pause=0.5)
        self.until_going(witnesses)
        self.e2b_worker()
        first.kill()
        until(lambda: not self.carried_by(first), 10)
        self.until_all("succeeded", seconds=120)
        self.assert_each_went_on_once(witnesses)

    def test_a_worker_that_sleeps_leaves_the_sandboxes_to_the_one_that_took_over(self):
        sleeper = self.e2b_worker()
        # Some end while it sleeps, some after it woke; some take longer than they may.
        witnesses = self.launch_witnesses(3, lines=40)
        witnesses += self.launch_witnesses(3, lines=100)
        late = self.launch_witnesses(1, lines=1000, timeout=9)
        self.until_going(witnesses + late)
        other = self.e2b_worker()
        sleeper.send(signal.SIGSTOP)
        until(lambda: not self.carried_by(sleeper), 15)
        until(lambda: self.web.run(late[0].id)["status"] == "timed_out")
        sleeper.send(signal.SIGCONT)
        self.until_all("succeeded", "timed_out")
        self.assert_each_went_on_once(witnesses)
        other.kill()
        self.assert_works()

    def test_a_stopped_worker_hands_over_at_once(self):
        first = self.e2b_worker()
        witnesses = self.launch_witnesses(10, lines=50)
        self.until_going(witnesses)
        self.e2b_worker()
        began = time.monotonic()
        self.assertEqual(first.stop(), 0)
        self.assertLess(time.monotonic() - began, 8)
        until(lambda: not self.carried_by(first), 10)
        self.until_all("succeeded")
        self.assert_each_went_on_once(witnesses)
