"""The whole system with programs in E2B sandboxes: what happens when something breaks."""

import os
import signal

from django.test import SimpleTestCase

from .doubles.e2b import E2BDouble
from .sandboxes.test_e2b_trouble import refusal
from .site import Site
from .test_site import Viewer

# Slow enough to be going on when the server dies, and exact about what it printed.
COUNTER = "import time\nfor n in range(400):\n    print('line é', n)\n    time.sleep(0.01)"
COUNTED = "".join(f"line é {n}\n" for n in range(400))


class E2BSiteTests(SimpleTestCase):
    def setUp(self):
        self.double = E2BDouble()
        self.addCleanup(self.double.close)
        self.site = Site(**self.double.environment)
        self.addCleanup(self.site.close)
        self.site.start()

    def text(self, chunks, stream="stdout", task=0) -> str:
        return "".join(
            chunk["text"] for chunk in chunks if (chunk["stream"], chunk["task"]) == (stream, task)
        )

    def assert_whole(self, run, chunks):
        self.assertEqual([c["seq"] for c in chunks], list(range(1, run["last_seq"] + 1)))

    def test_every_kind_runs_and_leaves_no_sandbox(self):
        site = self.site
        runs = [
            (site.launch("echo out; echo err >&2; exit 3"), "failed", 3),
            (site.launch("print('script')", kind="python"), "succeeded", 0),
            (site.launch("print('cell'); 6 * 7", kind="python", mode="notebook"), "succeeded", 0),
            (site.launch(["echo one", "exit 4"], kind="parallel"), "failed", 4),
        ]
        for launched, status, code in runs:
            run = site.ended(launched["id"], 40)
            self.assertEqual((run["status"], run["exit_code"]), (status, code), run["error"])
            self.assertEqual(run["sandbox"], "e2b")
            self.assert_whole(run, site.chunks(run["id"]))
        results = [c for c in site.chunks(runs[2][0]["id"]) if c["stream"] == "result"]
        self.assertEqual(results[0]["data"]["text/plain"], "42")
        self.assertEqual(self.double.sandboxes, [])
        health = site.request("GET", "/health")[1]
        self.assertEqual((health["e2b_configured"], health["sandbox"]["open"]), (True, 0))

    def test_after_kill_9_the_next_server_goes_on_with_every_character_once(self):
        site = self.site
        script = site.launch(COUNTER, kind="python")
        parallel = site.launch(
            ["for n in $(seq 1 300); do echo a$n; sleep 0.01; done", "echo b; sleep 4; exit 7"],
            kind="parallel",
        )
        cell = site.launch(
            "import time\nprint('on')\ntime.sleep(30)", kind="python", mode="notebook"
        )
        viewer = Viewer(site, script["id"])
        viewer.wait_for(30)
        site.until(parallel["id"], lambda run: run["last_seq"] > 20)
        site.until(cell["id"], lambda run: run["last_seq"] >= 1)
        site.kill()
        viewer.join(10)
        site.start()

        run = site.ended(script["id"], 40)
        self.assertEqual((run["status"], run["exit_code"]), ("succeeded", 0), run["error"])
        resumed = Viewer(site, script["id"], after=viewer.chunks[-1]["seq"])
        resumed.join(10)
        chunks = viewer.chunks + resumed.chunks
        self.assert_whole(run, chunks)
        self.assertEqual(self.text(chunks), COUNTED)
        self.assertIn("Another server goes on", self.text(chunks, "system"))
        times = [chunk["t"] for chunk in chunks]
        self.assertEqual(times, sorted(times))

        run = site.ended(parallel["id"], 40)
        self.assertEqual((run["status"], run["exit_codes"]), ("failed", [0, 7]))
        chunks = site.chunks(run["id"])
        self.assertEqual(self.text(chunks, task=1), "".join(f"a{n}\n" for n in range(1, 301)))
        self.assertEqual(self.text(chunks, task=2), "b\n")

        run = site.ended(cell["id"])
        self.assertEqual(run["status"], "lost")
        self.assertIn("notebook cell", run["error"])

    def test_a_dropped_connection_is_taken_up_again_without_a_restart(self):
        run = self.site.launch(COUNTER, kind="python")
        run = self.site.until(run["id"], lambda run: run["last_seq"] > 20)
        self.double.drop(run["sandbox_id"])
        run = self.site.ended(run["id"], 40)
        chunks = self.site.chunks(run["id"])
        self.assertEqual((run["status"], self.text(chunks)), ("succeeded", COUNTED), run["error"])
        self.assert_whole(run, chunks)
        self.assertTrue(self.text(chunks, "system"))

    def test_a_frozen_server_blocks_only_itself(self):
        run = self.site.launch(COUNTER + "\nopen('done', 'w').write('x')", kind="python")
        self.site.until(run["id"], lambda run: run["last_seq"] > 20)
        os.kill(self.site.process.pid, signal.SIGSTOP)
        try:
            (sandbox,) = self.double.sandboxes
        finally:
            os.kill(self.site.process.pid, signal.SIGCONT)
        run = self.site.ended(run["id"], 40)
        self.assertEqual(self.text(self.site.chunks(run["id"])), COUNTED)
        self.assertTrue(sandbox)

    def test_a_sandbox_that_dies_is_said_in_the_recording(self):
        run = self.site.launch("echo on; sleep 60")
        run = self.site.until(run["id"], lambda run: run["last_seq"])
        self.double.die(run["sandbox_id"])
        run = self.site.ended(run["id"], 40)
        self.assertEqual(run["status"], "failed")
        self.assertIn("sandbox", run["error"].lower())
        self.assertIn(run["error"], self.text(self.site.chunks(run["id"]), "system"))

    def test_a_full_quota_is_waited_for_and_shown(self):
        self.double.fault("create", times=5, **refusal(429))
        run = self.site.launch("echo at last")
        waiting = self.site.until(run["id"], lambda run: run["waiting_for"] or run["finished_at"])
        self.assertEqual(waiting["status"], "starting", waiting)
        self.assertIn("limit on sandboxes", waiting["waiting_for"])
        run = self.site.ended(run["id"], 40)
        self.assertEqual((run["status"], run["waiting_for"]), ("succeeded", None))

    def test_a_wrong_key_ends_a_run_with_a_sentence(self):
        self.double.fault("create", times=9, **refusal(401))
        run = self.site.ended(self.site.launch("echo never")["id"])
        self.assertEqual(run["status"], "failed")
        self.assertIn("E2B_API_KEY", run["error"])

    def test_a_run_that_is_cancelled_while_its_sandbox_is_made_leaves_none(self):
        self.double.fault("create", delay=2)
        run = self.site.launch("echo never")
        self.site.until(run["id"], lambda run: self.double.calls.get("create"))
        self.assertEqual(self.site.request("POST", run["urls"]["cancel"])[0], 202)
        self.assertEqual(self.site.ended(run["id"], 2)["status"], "cancelled")
        self.site.until(run["id"], lambda run: not self.double.sandboxes and
                        self.double.calls.get("kill"))  # fmt: skip

    def test_sigterm_ends_runs_and_sandboxes(self):
        run = self.site.launch("echo on; sleep 60")
        self.site.until(run["id"], lambda run: run["last_seq"])
        self.assertEqual(self.site.stop(), 0)
        self.assertEqual(self.double.sandboxes, [])
