"""GET /metrics: who may read it, and what stands there while real programs run."""

import time
import urllib.request
from unittest import mock, skipUnless

from django.db import OperationalError, connection
from django.test import Client, SimpleTestCase, override_settings
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from runs.models import Status
from runs.web.metrics import active_counts
from tests.doubles.e2b import E2BDouble
from tests.factories import make_run
from tests.site import Site

from .api_case import ApiCase

ELSEWHERE = "203.0.113.9"


def parsed(text: str) -> dict:
    """{(sample name, its one label's value or ""): value}; Info and histograms keep the first."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class AccessTests(ApiCase):
    def ask(self, address="127.0.0.1", user=None, client=None, **headers):
        if user:
            headers |= self.token_headers(user)
        return (client or Client()).get("/metrics", REMOTE_ADDR=address, headers=headers)

    def assert_open(self, response):
        self.assertEqual(response.status_code, 200, response.content[:300])
        self.assertIn(("streamsite_viewers", "websocket"), parsed(response.content.decode()))

    def assert_unauthorized(self, response):
        self.assertIn("API token", self.assert_error(response, 401, "unauthorized"))
        self.assertEqual(response["WWW-Authenticate"], "Bearer")

    def test_this_machine_needs_no_token(self):
        for address in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
            with self.subTest(address):
                self.assert_open(self.ask(address))

    def test_strangers_are_refused(self):
        for address in (ELSEWHERE, "10.0.0.1", "::ffff:10.0.0.1", "localhost", ""):
            with self.subTest(address):
                self.assert_unauthorized(self.ask(address))

    def test_a_token_of_somebody_who_may_view_all_runs_opens_it(self):
        for user in (self.root, self.auditor):
            self.assert_open(self.ask(ELSEWHERE, user))
        self.assert_error(self.ask(ELSEWHERE, self.alice), 403, "forbidden")

    def test_a_token_that_is_sent_decides_on_this_machine_too(self):
        self.assert_error(self.ask(user=self.alice), 403, "forbidden")
        self.assert_error(self.ask(Authorization="Bearer nonsense"), 401, "unauthorized")

    def test_a_login_opens_nothing(self):
        self.assert_unauthorized(self.ask(ELSEWHERE, client=self.client_of(self.root)))

    def test_whoever_comes_through_a_proxy_is_not_of_this_machine(self):
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Host"):
            with self.subTest(header):
                self.assert_unauthorized(self.ask(**{header: "127.0.0.1"}))

    @override_settings(TRUSTED_PROXY=True)
    def test_behind_a_trusted_proxy_the_forwarded_addresses_count(self):
        self.assert_open(self.ask(**{"X-Forwarded-For": "127.0.0.1"}))
        self.assert_open(self.ask("::1", **{"X-Forwarded-For": "::1, 127.0.0.1"}))
        for forwarded in (ELSEWHERE, f"127.0.0.1, {ELSEWHERE}", f"{ELSEWHERE}, 127.0.0.1", "", " "):
            with self.subTest(forwarded):
                self.assert_unauthorized(self.ask(**{"X-Forwarded-For": forwarded}))
        # One that names nobody speaks for anybody.
        self.assert_unauthorized(self.ask())
        self.assert_unauthorized(self.ask(ELSEWHERE, **{"X-Forwarded-For": "127.0.0.1"}))

    def test_it_is_only_read(self):
        response = Client().post("/metrics")
        self.assert_error(response, 405, "method_not_allowed")
        self.assertEqual(response["Allow"], "GET")


class NumbersTests(ApiCase):
    def setUp(self):
        for status in (Status.QUEUED, Status.QUEUED, Status.RUNNING, Status.FAILED):
            make_run(self.alice, status=status)

    def test_active_runs_by_status_with_one_query(self):
        with self.assertNumQueries(1):
            numbers = parsed(Client().get("/metrics").content.decode())
        runs = {key[1]: value for key, value in numbers.items() if key[0] == "streamsite_runs"}
        self.assertEqual(runs, {"queued": 2, "starting": 0, "running": 1})
        self.assertEqual(numbers["streamsite_database_up", ""], 1)

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's plan")
    def test_runs_that_have_ended_are_not_even_looked_at(self):
        asked = []

        def note(execute, sql, params, many, context):
            asked.append((sql, params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            active_counts()
        ((sql, params),) = asked
        with connection.cursor() as cursor:
            # With its parameters: what SQLite cannot see when it plans decides about the index.
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plan = " ".join(row[-1] for row in cursor.fetchall())
        self.assertIn("COVERING INDEX run_queue_and_held", plan)

    def test_version_and_the_numbers_of_the_process_are_there(self):
        response = Client().get("/metrics")
        version = Client().get("/health").json()["version"]
        numbers = parsed(response.content.decode())
        self.assertEqual(numbers["streamsite_build_info", version], 1)
        self.assertGreater(numbers["process_resident_memory_bytes", ""], 1024**2)
        self.assertTrue(response["Content-Type"].startswith("text/plain; version=0.0.4"))
        self.assertEqual(response["Cache-Control"], "no-store")

    def test_who_asks_for_openmetrics_gets_it(self):
        accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
        response = Client().get("/metrics", headers={"Accept": accept})
        self.assertIn("application/openmetrics-text", response["Content-Type"])
        names = {family.name for family in parse_openmetrics(response.content.decode())}
        self.assertLessEqual({"streamsite_runs", "streamsite_recorded_chunks"}, names)

    def test_without_a_database_the_process_still_tells_of_itself(self):
        failing = OperationalError("unable to open database file")
        with mock.patch("runs.web.metrics.active_counts", side_effect=failing):
            response = Client().get("/metrics")
        numbers = parsed(response.content.decode())
        self.assertEqual(numbers["streamsite_database_up", ""], 0)
        self.assertNotIn(("streamsite_runs", "queued"), numbers)
        self.assertIn(("streamsite_recorded_chunks_total", ""), numbers)

    def test_a_token_that_cannot_be_looked_up_is_a_503(self):
        failing = OperationalError("unable to open database file")
        with mock.patch("runs.web.metrics.identify_request", side_effect=failing):
            response = Client().get("/metrics", headers={"Authorization": "Bearer x"})
        self.assert_error(response, 503, "unavailable")

    def test_asking_twice_registers_nothing_twice(self):
        before = len(list(REGISTRY.collect()))
        first, second = (parsed(Client().get("/metrics").content.decode()) for _ in range(2))
        self.assertEqual(set(first), set(second))
        self.assertEqual(len(list(REGISTRY.collect())), before)


class ServerTests(SimpleTestCase):
    """A real server, with programs in sandboxes of the E2B double."""

    def setUp(self):
        self.double = E2BDouble()
        self.addCleanup(self.double.close)
        self.site = Site(STREAMSITE_MAX_RUNS="1", **self.double.environment)
        self.addCleanup(self.site.close)
        self.site.start()

    def numbers(self) -> dict:
        # As a scraper on this machine: no token.
        with urllib.request.urlopen(self.site.url + "/metrics", timeout=30) as answer:
            return parsed(answer.read().decode())

    def until(self, condition, seconds: float = 20) -> dict:
        deadline = time.monotonic() + seconds
        while not condition(numbers := self.numbers()):
            self.assertLess(time.monotonic(), deadline, numbers)
            time.sleep(0.02)
        return numbers

    def value(self, name: str, label: str = "") -> float:
        return self.numbers()[f"streamsite_{name}", label]

    def test_a_run_raises_the_counters_and_shows_while_it_goes(self):
        site = self.site
        idle = self.numbers()
        for name in ("runs_carried", "recorded_chunks_total", "recorded_bytes_total"):
            self.assertEqual(idle[f"streamsite_{name}", ""], 0, name)
        self.assertEqual(idle["streamsite_sandboxes_open", "e2b"], 0)
        self.assertEqual(idle["streamsite_runs_ended_total", "succeeded"], 0)

        run = site.launch("echo on; read x; echo é", stdin=True)
        site.until(run["id"], lambda run: run["last_seq"])
        waiting = site.launch("echo next")
        with site.socket(run["id"]) as viewer, site.socket(run["id"]), self.events(run):
            going = self.until(lambda numbers: numbers["streamsite_viewers", "sse"])
            self.assertEqual(going["streamsite_viewers", "websocket"], 2)
            self.assertEqual(going["streamsite_sandboxes_open", "e2b"], 1)
            self.assertEqual(going["streamsite_runs_carried", ""], 1)
            self.assertEqual(going["streamsite_runs", "running"], 1)
            self.assertEqual(going["streamsite_runs", "queued"], 1)
            self.assertEqual(going["streamsite_recorded_chunks_total", ""], 1)
            self.assertEqual(going["streamsite_recorded_bytes_total", ""], len("on\n"))
            viewer.send('{"type": "stdin", "text": "go\\n"}')
            site.ended(run["id"])
        site.ended(waiting["id"])
        done = self.until(lambda numbers: not numbers["streamsite_runs_carried", ""])
        self.assertEqual(done["streamsite_runs_ended_total", "succeeded"], 2)
        self.assertEqual(done["streamsite_sandboxes_open", "e2b"], 0)
        self.assertEqual(done["streamsite_runs", "queued"], 0)
        self.assertEqual(done["streamsite_recorded_bytes_total", ""], len("on\né\nnext\n".encode()))
        chunks = sum(site.run(one["id"])["last_seq"] for one in (run, waiting))
        self.assertEqual(done["streamsite_recorded_chunks_total", ""], chunks)
        stores = done["streamsite_store_seconds_count", ""]
        self.assertTrue(1 < stores <= chunks, stores)
        self.assertEqual(done["streamsite_recorder_waiting_bytes", ""], 0)
        for name in ("store_failures", "publish_failures", "lease_losses", "replaced_chunks"):
            self.assertEqual(done[f"streamsite_{name}_total", ""], 0, name)
        self.assertEqual(done["streamsite_feed_gaps_total", "lost"], 0)
        for transport in ("websocket", "sse"):
            self.until(lambda numbers, t=transport: not numbers["streamsite_viewers", t])

    def events(self, run):
        """A viewer of the run's Server-Sent Events."""
        asked = urllib.request.Request(
            f"{self.site.url}/api/runs/{run['id']}/events",
            headers={"Authorization": f"Bearer {self.site.token}"},
        )
        return urllib.request.urlopen(asked, timeout=30)

    def test_a_run_cancelled_before_it_began_is_counted_once(self):
        blocking = self.site.launch("sleep 60")
        self.site.until(blocking["id"], lambda run: run["status"] == "running")
        for run in (self.site.launch("echo never"), blocking):
            self.assertEqual(self.site.request("POST", run["urls"]["cancel"])[0], 202)
            self.assertEqual(self.site.ended(run["id"])["status"], "cancelled")
        self.until(lambda numbers: not numbers["streamsite_runs_carried", ""])
        self.assertEqual(self.value("runs_ended_total", "cancelled"), 2)
        self.assertEqual(self.value("runs_ended_total", "succeeded"), 0)
