"""A worker's own /metrics and /health."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from runs.models import ApiToken
from streamsite.management.commands.worker import parse_address
from streamsite.monitoring import serve_monitoring
from streamsite.server import CannotListen
from tests.cluster import Cluster, until
from tests.people import make_user
from tests.web.test_metrics import parsed


def get(url: str, **headers: str) -> tuple[int, str]:
    asked = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class AnswerTests(TransactionTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        host, port = serve_monitoring("127.0.0.1", 0)
        cls.url = f"http://{host}:{port}"

    def test_numbers_and_health_are_those_of_a_web_process(self):
        status, body = get(self.url + "/metrics")
        self.assertEqual(status, 200)
        numbers = parsed(body)
        self.assertEqual(numbers["streamsite_runs", "queued"], 0)
        self.assertIn(("streamsite_recorded_chunks_total", ""), numbers)
        status, body = get(self.url + "/health")
        self.assertEqual((status, json.loads(body)["database"]), (200, "ok"))

    def test_no_proxy_is_in_front_whatever_the_web_processes_have(self):
        with override_settings(TRUSTED_PROXY=True, ALLOWED_HOSTS=["runs.example.org"]):
            self.assertEqual(get(self.url + "/metrics")[0], 200)
            # One that somebody put there speaks for the whole world.
            headers = {"X-Forwarded-For": "127.0.0.1"}
            status, body = get(self.url + "/metrics", **headers)
            self.assertEqual(status, 401)
            self.assertIn("API token", body)

    def test_from_elsewhere_a_token_is_needed(self):
        with mock.patch("runs.web.metrics.is_from_this_machine", return_value=False):
            self.assertEqual(get(self.url + "/metrics")[0], 401)
            root = get_user_model().objects.create_superuser("root")
            for user, status in ((make_user("bob"), 403), (root, 200)):
                headers = {"Authorization": f"Bearer {ApiToken.objects.make(user, 't')[1]}"}
                self.assertEqual(get(self.url + "/metrics", **headers)[0], status)

    def test_there_is_nothing_else(self):
        for path in ("/", "/runs/", "/api/runs", "/admin/", "/metrics/x"):
            status, body = get(self.url + path)
            self.assertEqual(status, 404, path)
            self.assertIn("/metrics and /health only", body)

    def test_a_mistake_is_logged_and_told(self):
        with (
            mock.patch("streamsite.monitoring.health", side_effect=ValueError),
            self.assertLogs("streamsite.monitoring", "ERROR"),
        ):
            status, body = get(self.url + "/health")
        self.assertEqual(status, 500)
        self.assertIn("log says why", body)

    def test_an_address_in_use_is_refused_with_a_sentence(self):
        with self.assertRaisesMessage(CannotListen, "Choose another address with --metrics."):
            serve_monitoring("127.0.0.1", int(self.url.rpartition(":")[2]))


class AddressTests(SimpleTestCase):
    def test_a_port_is_on_loopback_unless_a_host_is_named(self):
        self.assertEqual(parse_address("9100"), ("127.0.0.1", 9100))
        self.assertEqual(parse_address("10.0.0.5:9100"), ("10.0.0.5", 9100))
        self.assertEqual(parse_address("[::1]:0"), ("::1", 0))

    def test_anything_else_is_refused_with_a_sentence(self):
        for text in ("", "x", "host:", "1:2:x", "65536", "-1", "٣"):
            with self.assertRaisesMessage(CommandError, "takes a port"):
                parse_address(text)


@pytest.mark.slow
class ClusterTests(SimpleTestCase):
    """What the web processes and the workers of one site say and take together."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = cls.enterClassContext(Cluster(STREAMSITE_LEASE_SECONDS="3"))

    def setUp(self):
        self.cluster.sql("TRUNCATE runs_chunk, runs_run, procrastinate_jobs CASCADE")

    def processes(self, **of_web: str) -> tuple[list, list]:
        webs = [self.cluster.web(**of_web) for _ in range(2)]
        workers = [self.cluster.worker(4, STREAMSITE_WORKER_METRICS="0") for _ in range(2)]
        for process in webs + workers:
            self.addCleanup(process.kill)
        return webs, workers

    def test_each_number_is_right_where_it_is_counted(self):
        cluster = self.cluster
        webs, workers = self.processes()
        urls = [web.url for web in webs] + [metrics_url(worker) for worker in workers]
        names = ["web", "web", "worker", "worker"]

        def numbers() -> list[dict]:
            return [parsed(get(url + "/metrics")[1]) for url in urls]

        def each(name: str, label: str = "") -> list[float]:
            return [one.get(("streamsite_" + name, label), 0) for one in numbers()]

        for url, name in zip(urls, names, strict=True):
            status, body = get(url + "/health")
            executor = "workers" if name == "web" else "worker"
            self.assertEqual((status, json.loads(body)["executor"]), (200, executor))

        runs = [webs[n % 2].launch("echo grüße; read x", stdin=True) for n in range(10)]
        until(lambda: each("runs", "running") == [8] * 4)
        self.assertEqual(each("runs", "queued"), [2] * 4)
        self.assertEqual(each("runs_carried")[2:], [4, 4])
        self.assertEqual(sum(each("sandboxes_open", "local")[2:]), 8)
        going = [run for run in runs if webs[0].run(run["id"])["status"] == "running"]
        with webs[0].socket(going[0]["id"]), webs[1].socket(going[0]["id"]) as viewer:
            until(lambda: each("viewers", "websocket") == [1, 1, 0, 0])
            # One that comes to a feed without what was before it.
            viewer.send('{"type": "stdin", "text": "go\\n"}')
            webs[0].ended(going[0]["id"])
        for run in runs:
            if run not in going[:1]:
                webs[0].until(run["id"], lambda run: run["status"] != "queued")
                assert webs[1].request("POST", run["urls"]["cancel"])[0] == 202
        for run in runs:
            webs[0].ended(run["id"])
        until(lambda: not sum(each("runs_carried")[2:]))
        self.assertEqual(each("runs", "running"), [0] * 4)
        self.assertEqual(sum(each("runs_ended_total", "succeeded")[2:]), 1)
        self.assertEqual(sum(each("runs_ended_total", "cancelled")[2:]), 9)
        rows = cluster.sql("SELECT count(*), sum(octet_length(text)) FROM runs_chunk")
        recorded = sum(each("recorded_chunks_total")), sum(each("recorded_bytes_total"))
        self.assertEqual([recorded], rows)
        self.assertEqual(each("recorded_chunks_total")[:2], [0, 0])
        self.assertGreater(min(each("store_seconds_count")[2:]), 1)
        self.assertEqual(sum(each("feed_gaps_total", "lost")), 0)
        self.assertEqual(sum(each("lease_losses_total")), 0)
        self.assertEqual(sum(each("sandboxes_open", "local")[2:]), 0)

        # A lease that is taken away counts where it was.
        run = webs[0].launch("read x", stdin=True)
        webs[0].until(run["id"], lambda run: run["status"] == "running")
        cluster.sql("UPDATE runs_run SET epoch = epoch + 1, executor = 'a:1:b'")
        until(lambda: sum(each("lease_losses_total")[2:]) == 1)

    def test_connections_are_as_many_as_readme_says(self):
        webs, workers = self.processes(STREAMSITE_REQUEST_THREADS="2")
        asked = [web for web in webs for _ in range(150)]
        with ThreadPoolExecutor(16) as pool:
            answers = pool.map(lambda web: web.request("GET", "/api/runs")[0], asked)
            self.assertEqual(set(answers), {200})
        webs[0].ended(webs[0].launch("echo here")["id"])
        for worker in workers:
            get(metrics_url(worker) + "/metrics")
        query = "SELECT application_name, count(*) FROM pg_stat_activity GROUP BY 1"
        counts = dict(self.cluster.sql(query))
        self.assertLessEqual(counts["streamsite serve"], 2 * (2 + 3))
        self.assertLessEqual(counts["streamsite worker"], 2 * (8 + 1))


def metrics_url(worker) -> str:
    (line,) = (line for line in worker.printed if line.startswith("Metrics: "))
    return line.split()[1].removesuffix("/metrics")
