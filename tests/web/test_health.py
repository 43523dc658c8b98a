import os
from unittest import mock

from django.conf import settings
from django.db import OperationalError
from django.test import Client, TestCase

FIELDS = {
    "status", "timestamp", "e2b_configured", "claude_configured", "database",
    "channel_layer", "executor", "sandbox", "version",
}  # fmt: skip


class HealthTests(TestCase):
    def test_it_needs_no_login_and_has_what_the_contract_names(self):
        with mock.patch.dict(os.environ), self.settings(ANTHROPIC_API_KEY="sk-secret"):
            os.environ.pop("E2B_API_KEY", None)
            response = Client().get("/health")
        self.assertEqual(response.status_code, 200)
        health = response.json()
        self.assertEqual(set(health), FIELDS)
        self.assertEqual((health["status"], health["database"]), ("ok", "ok"))
        self.assertEqual((health["e2b_configured"], health["claude_configured"]), (False, True))
        self.assertRegex(health["timestamp"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
        self.assertRegex(health["version"], r"^\d+\.\d+")
        self.assertNotIn(b"sk-secret", response.content)
        self.assertEqual(response["Cache-Control"], "no-store")

    def test_a_template_alone_does_not_count_as_configured(self):
        with mock.patch.dict(os.environ, {"E2B_TEMPLATE_ID": "base"}):
            os.environ.pop("E2B_API_KEY", None)
            self.assertFalse(Client().get("/health").json()["e2b_configured"])

    def test_it_asks_the_database_little(self):
        # Where there are workers, a third asks whether one lives.
        with self.assertNumQueries(2 + settings.IS_SHARED):
            Client().get("/health")

    def test_without_a_database_it_is_503(self):
        failing = OperationalError("unable to open database file")
        with mock.patch("runs.web.health.look_at_database", side_effect=failing):
            response = Client().get("/health")
        self.assertEqual(response.status_code, 503)
        health = response.json()
        self.assertEqual(set(health), FIELDS)
        self.assertEqual((health["status"], health["database"]), ("unavailable", "unreachable"))
