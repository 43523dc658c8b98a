"""What the log says of runs, as text and as JSON, and what it never says."""

import io
import json
import logging
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from unittest import mock

from django.test import RequestFactory, SimpleTestCase
from django.urls import resolve

from runs.execution import carrier
from runs.logs import RUN, JsonLines, Lines
from tests.execution.helpers import CarryingTestCase
from tests.site import PASSWORD, ROOT, Site

ENV_SECRET = "a-value-of-the-environment"


@contextmanager
def logged(formatter: logging.Formatter, name: str = "runs"):
    """What is logged meanwhile, as the handler of a real server would write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger(name)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    # To nobody else: half a character, say, is more than some can take.
    logger.propagate = False
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


class FormatTests(SimpleTestCase):
    log = logging.getLogger("runs.trial")

    def setUp(self):
        token = RUN.set("")
        self.addCleanup(RUN.reset, token)

    def said(self, formatter, message, *args, run="", **how) -> str:
        with logged(formatter, "runs.trial") as stream:
            token = RUN.set(run)
            try:
                self.log.warning(message, *args, **how)
            finally:
                RUN.reset(token)
        return stream.getvalue()

    def test_a_line_of_json_tells_who_says_it(self):
        (line,) = objects(self.said(JsonLines("worker"), "Zwölf %s\nin two lines \ud800", 12))
        self.assertEqual(line["message"], "Zwölf 12\nin two lines \ud800")
        self.assertEqual((line["level"], line["logger"]), ("WARNING", "runs.trial"))
        self.assertEqual(line["program"], "worker")
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}\+00:00$")
        self.assertLessEqual({"host", "pid"}, set(line))
        self.assertNotIn("run", line)

    def test_the_run_is_the_tasks_or_the_lines_own(self):
        (line,) = objects(self.said(JsonLines("x"), "A", run="abc"))
        self.assertEqual(line["run"], "abc")
        (line,) = objects(self.said(JsonLines("x"), "A", run="abc", extra={"run": "other"}))
        self.assertEqual(line["run"], "other")

    def test_a_request_that_failed_is_about_the_run_it_asked_for(self):
        for path in ("/runs/abc/", "/api/runs/abc"):
            request = RequestFactory().get(path)
            request.resolver_match = resolve(path)
            (line,) = objects(self.said(JsonLines("x"), "Failed", extra={"request": request}))
            self.assertEqual(line["run"], "abc", path)

    def test_a_readable_line_names_the_run_once(self):
        self.assertRegex(self.said(Lines("x"), "It ends.", run="abc"), "Run abc: It ends.\n$")
        self.assertEqual(self.said(Lines("x"), "Run abc ends.", run="abc").count("abc"), 1)
        self.assertNotIn("Run", self.said(Lines("x"), "Nothing ends."))

    def test_secrets_are_hidden_wherever_they_come_up(self):
        secrets = ["hunter22", 'with "quotes"', "", "abc"]
        for kind in (JsonLines, Lines):
            try:
                raise ValueError("no hunter22 here")
            except ValueError:
                text = self.said(
                    kind("x", secrets), 'as with "quotes", sst_abc-DEF_1, abc', exc_info=True
                )
            self.assertIn("ValueError: no [hidden] here", text)
            self.assertIn("as [hidden], [hidden], abc", text)

    def test_a_traceback_stays_within_its_line(self):
        try:
            raise ValueError("why")
        except ValueError:
            (line,) = objects(self.said(JsonLines("x"), "Failed", exc_info=True))
        self.assertIn("ValueError: why", line["traceback"])


class CarryingTests(CarryingTestCase):
    async def test_every_line_about_a_run_carries_its_id(self):
        failing = mock.patch.object(carrier, "of_exit_codes", side_effect=ValueError("a mistake"))
        with logged(JsonLines("x")) as stream:
            async with self.executing():
                good = await self.carry("echo $KEY; exit 3", env={"KEY": ENV_SECRET})
                with failing:
                    bad = await self.carry("true")
        lines = objects(stream.getvalue())
        said = [line["message"] for line in lines if line.get("run") == good.public_id]
        self.assertEqual(
            said,
            [f"Run {good.public_id} {what}." for what in ("is carried here, epoch 1",
                                                         "ended as failed")],
        )  # fmt: skip
        (failed,) = (line for line in lines if line["level"] == "ERROR")
        self.assertEqual(failed["run"], bad.public_id)
        self.assertIn("a mistake", failed["traceback"])
        for line in lines:
            for run in (good, bad):
                if run.public_id in line["message"]:
                    self.assertEqual(line.get("run"), run.public_id, line)
        self.assertNotIn(ENV_SECRET, stream.getvalue())


class ServerTests(SimpleTestCase):
    def test_a_real_server_logs_json_and_no_secrets(self):
        with Site(STREAMSITE_LOG_FORMAT="json", STREAMSITE_LOG_LEVEL="DEBUG") as site:
            run = site.launch("echo $KEY", env={"KEY": ENV_SECRET})
            site.ended(run["id"])
            with site.socket(run["id"]) as socket:
                while '"type":"end"' not in socket.recv(10):
                    pass
            wrong = urllib.request.Request(
                site.url + "/api/runs?token=sst_in-a-query",
                headers={"Authorization": "Bearer sst_a-wrong-token"},
            )
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(wrong, timeout=30)
            refused.exception.close()
            site.stop()
            key = (site.data_dir / "secret_key").read_text()
        printed = "".join(site.printed)
        lines = objects("".join(line for line in site.printed if line.startswith("{")))
        self.assertEqual({line["program"] for line in lines}, {"quickstart"})
        self.assertEqual({line["pid"] for line in lines}, {site.process.pid})
        said = [line["message"] for line in lines if line.get("run") == run["id"]]
        self.assertIn(f"Run {run['id']} ended as succeeded.", said)
        # Whatever else is there was said to the terminal on stdout.
        others = [line for line in site.printed if not line.startswith("{")]
        self.assertLess(len(others), 10, others)
        for secret in (key, site.token, ENV_SECRET, PASSWORD, "in-a-query", "a-wrong-token"):
            self.assertNotIn(secret, printed)

    def test_an_unknown_format_is_refused_with_a_sentence(self):
        done = subprocess.run(
            [sys.executable, "manage.py", "check"], cwd=ROOT, capture_output=True, text=True,
            env=os.environ | {"STREAMSITE_LOG_FORMAT": "xml"}, timeout=60,
        )  # fmt: skip
        self.assertIn("must be text or json", done.stderr)
