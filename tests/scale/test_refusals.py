"""What is set wrong ends in a sentence that says what to set."""

import os
import subprocess
import sys
import tempfile

from django.test import SimpleTestCase

from tests.site import ROOT, Site

NEITHER = {"DATABASE_URL": "", "REDIS_URL": ""}
POSTGRESQL = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
REDIS = {"REDIS_URL": "redis://127.0.0.1:9/0"}


class RefusalTests(SimpleTestCase):
    def refusal(self, *arguments: str, **environment: str) -> str:
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments], cwd=ROOT, text=True,
                env=os.environ | NEITHER | {"STREAMSITE_DATA_DIR": directory} | environment,
                capture_output=True, timeout=60,
            )  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        return done.stderr

    def test_a_worker_without_postgresql_and_redis(self):
        self.assertIn("set DATABASE_URL and REDIS_URL", self.refusal("worker"))
        self.assertIn("set DATABASE_URL and REDIS_URL", self.refusal("worker", **REDIS))

    def test_postgresql_without_redis(self):
        for command in ("worker", "serve", "migrate"):
            self.assertIn("set REDIS_URL, too", self.refusal(command, **POSTGRESQL))

    def test_quickstart_with_postgresql(self):
        sentence = self.refusal("quickstart", **POSTGRESQL, **REDIS)
        self.assertIn("unset DATABASE_URL", sentence)

    def test_a_database_url_that_is_none(self):
        sentence = self.refusal("migrate", DATABASE_URL="mysql://a@b/c", **REDIS)
        self.assertIn("must look like postgresql://", sentence)

    def test_a_worker_for_no_runs(self):
        sentence = self.refusal("worker", "--concurrency", "0", **POSTGRESQL, **REDIS)
        self.assertIn("must be 1 or more", sentence)

    def test_a_second_executor_on_one_sqlite_file(self):
        with Site() as first:
            for command in ("serve", "quickstart"):
                second = first.run_command(command, "--port", "0")
                self.assertEqual(second.returncode, 1)
                self.assertIn("Stop it first, or use another --data-dir", second.stderr)
            run = first.ended(first.launch("echo as ever")["id"])
            self.assertEqual(run["status"], "succeeded")
