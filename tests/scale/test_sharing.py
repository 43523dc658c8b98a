"""Several web processes and workers share the work, the news and the users' patience."""

import json
import statistics
import subprocess
import sys
import time

import pytest

from tests.cluster import Web, until
from tests.site import ROOT

from .case import LEASE_SECONDS, ClusterCase
from .test_outages import Watcher


class AcrossProcessesTests(ClusterCase):
    """Which processes a run, its viewers and its owner's wishes are at does not matter."""

    def setUp(self):
        super().setUp()
        self.webs = [self.web, self.cluster.web()]
        self.addCleanup(self.webs[1].kill)

    def test_input_and_cancels_reach_the_right_worker_within_a_second(self):
        both = [self.worker(1), self.worker(1)]
        runs = [self.web.launch("exec cat", stdin=True) for _ in both]
        self.until_all("running")
        self.assertEqual([len(self.carried_by(worker)) for worker in both], [1, 1])
        for run in runs:
            for web in self.webs:
                took = sorted(self.echo_seconds(web, run["id"], n) for n in range(5))
                self.assertLess(statistics.median(took), 1, took)
        for run, web in zip(runs, self.webs, strict=True):
            self.assertEqual(web.request("POST", run["urls"]["cancel"])[0], 202)
            web.ended(run["id"])
        asked = "extract(epoch FROM finished_at - cancel_requested_at)"
        for run_id, seconds in self.rows(asked).items():
            self.assertLess(seconds, 1, run_id)

    def echo_seconds(self, web: Web, run_id: str, number: int) -> float:
        text = f"{web.port} {number}"
        with web.socket(run_id) as socket:
            while '"type":"hello"' not in socket.recv(10):
                pass
            began = time.monotonic()
            socket.send(json.dumps({"type": "stdin", "task": 0, "text": f"{text}\n"}))
            while text not in (frame := socket.recv(10)):
                self.assertNotIn('"type":"error"', frame)
            return time.monotonic() - began

    def test_a_viewer_at_any_web_process_follows_a_run_on_any_worker(self):
        both = [self.worker(2), self.worker(2)]
        witnesses = self.launch_witnesses(4, pause=0.1)
        self.until_going(witnesses)
        self.assertEqual([len(self.carried_by(worker)) for worker in both], [2, 2])
        watchers = [Watcher(w.id, web) for w in witnesses for web in self.webs]
        # As it goes, not at the end.
        until(lambda: all(len(watcher.chunks) > 10 for watcher in watchers))
        self.let_end(witnesses)
        for watcher in watchers:
            watcher.join(30)
            self.assertEqual(watcher.end["status"], "succeeded")
            self.assertEqual(watcher.chunks, self.web.chunks(watcher.run_id))
        for witness in witnesses:
            self.assert_whole(witness)


class QueueTests(ClusterCase):
    def racing(self, what: str) -> dict:
        done = subprocess.run(
            [sys.executable, "-m", "tests.scale.racing", what],
            cwd=ROOT, env=self.cluster.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def test_of_those_who_claim_the_same_run_one_gets_it(self):
        self.assertEqual(
            self.racing("claims"), {"new": [[1], 100], "expired": [[1], 100], "late": 0}
        )

    def test_stores_and_heartbeats_of_the_same_runs_never_deadlock(self):
        # tearDown looks into the server's log, as it does after every other test.
        self.assertEqual(self.racing("locks"), {"ended": ["done"] * 4})

    def test_two_workers_under_load_record_everything(self):
        # Whom the load keeps from its heartbeats is another test's concern.
        for _ in range(2):
            self.worker(STREAMSITE_LEASE_SECONDS="20")
        witnesses = self.launch_witnesses(40, lines=20, pause=0.1)
        self.until_all("succeeded", seconds=90)
        for witness in witnesses:
            self.assert_whole(witness)

    def test_a_run_whose_job_was_lost_is_carried_all_the_same(self):
        run = self.web.launch("echo on my own")
        self.cluster.sql("TRUNCATE procrastinate_jobs CASCADE")
        self.worker()
        self.assertEqual(self.web.ended(run["id"])["status"], "succeeded")
        # One that is there already looks, too.
        self.cluster.sql("ALTER TABLE procrastinate_jobs DISABLE TRIGGER USER")
        try:
            run = self.web.launch("echo unheard")
            self.cluster.sql("TRUNCATE procrastinate_jobs CASCADE")
        finally:
            self.cluster.sql("ALTER TABLE procrastinate_jobs ENABLE TRIGGER USER")
        self.assertEqual(self.web.ended(run["id"])["status"], "succeeded")

    def test_a_job_whose_run_is_gone_does_no_harm(self):
        run = self.web.launch("echo gone")
        self.cluster.sql("DELETE FROM runs_run")
        self.assertEqual(self.web.request("GET", f"/api/runs/{run['id']}")[0], 404)
        worker = self.worker()
        jobs = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'runs.carry'"
        until(lambda: self.cluster.sql(jobs) == [(0,)])
        self.assert_works()
        self.assertNotIn("ERROR", "".join(worker.printed))

    def test_many_runs_of_one_user_do_not_starve_anothers_one(self):
        self.starve(25)

    @pytest.mark.slow
    def test_a_hundred_runs_of_one_user_do_not_starve_anothers_one(self):
        self.starve(100)

    def starve(self, count: int) -> None:
        self.worker(10)
        for _ in range(count):
            self.web.launch("sleep 600")
        until(lambda: list(self.rows("status").values()).count("running") == 9)
        self.cluster.manage("shell", "-v", "0", "-c", MAKE_BOB)
        token = self.cluster.manage("token", "make", "bob", "tests").split()[-1]
        admins, self.cluster.token = self.cluster.token, token
        try:
            run = self.web.launch("echo me too")
            self.assertEqual(self.web.ended(run["id"])["status"], "succeeded")
        finally:
            self.cluster.token = admins


MAKE_BOB = (
    "from django.contrib.auth.models import User; users = User.objects; "
    "users.filter(username='bob').exists() or users.create_user('bob')"
)


class ClockTests(ClusterCase):
    """Machines' clocks may differ by a minute: leases go by the database's."""

    def skewed_worker(self, seconds: int):
        path = str(ROOT / "tests" / "scale" / "skewed")
        return self.worker(2, PYTHONPATH=path, SKEW_SECONDS=str(seconds))

    def test_nobody_is_taken_for_dead_too_early_or_too_late(self):
        early, late = self.skewed_worker(-60), self.skewed_worker(60)
        lines = LEASE_SECONDS * 4
        short = self.launch_witnesses(2, lines=lines, pause=0.5)
        long = self.launch_witnesses(2)
        self.until_going(short + long)
        until(lambda: [len(self.carried_by(worker)) for worker in (early, late)] == [2, 2])
        for witness in short:
            self.web.ended(witness.id, 60)
            self.assert_whole(witness)
            # Its clock is the database's, too.
            self.assertLess(abs(self.web.run(witness.id)["duration"] - lines / 2), 25)
        self.assertEqual(set(self.rows("epoch").values()), {1})
        early.kill()
        late.kill()
        self.skewed_worker(-60)
        self.skewed_worker(60)
        until(lambda: {self.web.run(witness.id)["status"] for witness in long} == {"lost"})


LOOK_AT_JOBS = """
import json
from django.contrib.auth.models import User
from django.test import Client
from procrastinate.contrib.django.models import ProcrastinateJob as Job
client = Client()
client.force_login(User.objects.get(username="admin"))
pk = Job.objects.first().pk
found = {}
for name, path in (("list", ""), ("job", f"{pk}/change/"), ("add", "add/")):
    answer = client.get(f"/admin/procrastinate/procrastinatejob/{path}", HTTP_HOST="localhost")
    page = answer.content.decode()
    found[name] = [answer.status_code, 'name="action"' in page, 'name="_save"' in page]
for action in ("retry", "cancel", "abort", "delete_selected"):
    client.post("/admin/procrastinate/procrastinatejob/", HTTP_HOST="localhost",
                data={"action": action, "_selected_action": pk})
found["left"] = list(Job.objects.values_list("status", "abort_requested"))
print(json.dumps(found))
"""


class JobPagesTests(ClusterCase):
    def test_jobs_can_be_looked_at_and_nothing_else(self):
        self.web.launch("echo waits")
        found = json.loads(
            self.cluster.manage("shell", "-v", "0", "-c", LOOK_AT_JOBS).splitlines()[-1]
        )
        self.assertEqual(
            found,
            {
                "list": [200, False, False],
                "job": [200, False, False],
                "add": [403, False, False],
                "left": [["todo", False]],
            },
        )
