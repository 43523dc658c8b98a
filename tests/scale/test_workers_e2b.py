"""Workers that are killed, frozen or stopped, with programs that outlive them."""

import signal
import time

import pytest

from tests.cluster import Worker, until
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

    def tearDown(self):
        super().tearDown()
        self.double.reset()

    def e2b_worker(self, **environment: str) -> Worker:
        return self.worker(**self.double.environment, **environment)

    def assert_each_went_on_once(self, witnesses: list[Witness]) -> None:
        for witness in witnesses:
            self.assert_whole(witness)
        self.assertEqual(set(self.rows("epoch").values()), {2})
        until(lambda: not self.double.sandboxes)

    def kill_9(self, count: int) -> None:
        first = self.e2b_worker()
        witnesses = self.launch_witnesses(count, pause=0.5)
        self.until_going(witnesses)
        self.e2b_worker()
        first.kill()
        until(lambda: not self.carried_by(first), 10)
        self.let_end(witnesses)
        self.until_all("succeeded", seconds=120)
        self.assert_each_went_on_once(witnesses)

    def test_after_kill_9_another_worker_goes_on_with_its_runs(self):
        self.kill_9(10)

    @pytest.mark.slow
    def test_after_kill_9_another_worker_goes_on_with_its_50_runs(self):
        self.kill_9(50)

    def test_a_worker_that_sleeps_leaves_the_sandboxes_to_the_one_that_took_over(self):
        other = self.e2b_worker()
        other.send(signal.SIGSTOP)  # until the runs are the sleeper's
        sleeper = self.e2b_worker()
        early, late = self.launch_witnesses(2), self.launch_witnesses(2)
        too_long = self.launch_witnesses(1, timeout=14)
        self.until_going(early + late + too_long)
        sleeper.send(signal.SIGSTOP)
        other.send(signal.SIGCONT)
        until(lambda: not self.carried_by(sleeper))
        # Some end while it sleeps, some after it woke; one takes longer than it may.
        self.let_end(early)
        for witness in early:
            self.web.ended(witness.id)
        self.assertEqual(self.web.ended(too_long[0].id)["status"], "timed_out")
        sleeper.send(signal.SIGCONT)
        until(lambda: "".join(sleeper.printed).count("taken over by another") == 5)
        self.let_end(late)
        self.until_all("succeeded", "timed_out")
        self.assert_each_went_on_once(early + late)
        other.kill()
        self.assert_works()

    def test_a_stopped_worker_hands_over_at_once(self):
        first = self.e2b_worker(STREAMSITE_GRACE_SECONDS="60")
        witnesses = self.launch_witnesses(10)
        self.until_going(witnesses)
        self.e2b_worker()
        began = time.monotonic()
        self.assertEqual(first.stop(), 0)
        self.assertLess(time.monotonic() - began, 20)
        until(lambda: not self.carried_by(first), 10)
        self.let_end(witnesses)
        self.until_all("succeeded")
        self.assert_each_went_on_once(witnesses)
