"""Secrets at the edge: who may save, see and use them, and what is refused."""

from io import StringIO

from django.core.management import CommandError, call_command
from django.test import override_settings

from runs.fields import unseal
from runs.kinds import SECRET_CHARS
from runs.models import Run, SavedSecret, Status
from runs.streaming.masking import LEAST_CHARS
from tests.factories import make_run

from .api_case import ApiCase

ECHO = {"kind": "command", "program": "true"}
VALUE = "a value to keep"


class SavedSecretTests(ApiCase):
    def save(self, name="API_KEY", value=VALUE, user=None):
        path = "/account/secrets/"
        return self.client_of(user or self.alice).post(path, {"name": name, "value": value})

    def test_saved_changed_used_and_deleted(self):
        self.assertRedirects(self.save(), "/account/")
        self.save(value="line one\r\nline two")
        secret = SavedSecret.objects.get()
        self.assertEqual(unseal(secret.sealed), "line one\nline two")
        page = self.get(self.alice, "/account/")
        self.assertContains(page, "<code>API_KEY</code>")
        self.assertNotContains(page, "line one")
        self.assertContains(self.get(self.alice, "/"), 'name="secret" value="API_KEY"')

        run = self.post(self.alice, "/api/runs", ECHO | {"secrets": ["API_KEY"]}).json()
        self.assertEqual((run["env"], run["secrets"]), (["API_KEY"], ["API_KEY"]))
        stored = Run.objects.get()
        self.assertEqual(stored.to_launch().env, {"API_KEY": "line one\nline two"})
        self.assertEqual(stored.to_launch().secrets, ("line one\nline two",))
        self.client_of(self.alice).post(f"/account/secrets/{secret.pk}/delete/")
        self.assertFalse(SavedSecret.objects.exists())

    def test_nobody_elses(self):
        self.save()
        pk = SavedSecret.objects.get().pk
        for user in (self.bob, self.auditor, self.root):
            response = self.client_of(user).post(f"/account/secrets/{pk}/delete/")
            self.assertEqual(response.status_code, 404)
            self.assertNotContains(self.get(user, "/account/"), "API_KEY</code>")
            refused = self.post(user, "/api/runs", ECHO | {"secrets": ["API_KEY"]})
            self.assertIn("account page", self.assert_error(refused, 422, "invalid", "secrets"))
        self.assertFalse(Run.objects.exists())
        self.assertTrue(SavedSecret.objects.exists())

    def test_what_cannot_be_kept_is_refused_with_the_reason(self):
        for name, value, sentence in (
            ("1A", VALUE, "is no environment name"),
            ("STREAMSITE_X", VALUE, "is reserved"),
            ("A", "seven77", "too short to be masked"),
            ("A", " " * 20, "too short to be masked"),
            ("A", "x" * 70_000, "70,000 bytes long"),
            ("A", "a value\0 with NUL", "NUL"),
        ):
            with self.subTest(sentence, value=value[:20]):
                self.assertContains(self.save(name, value), sentence, status_code=400)
        self.assertFalse(SavedSecret.objects.exists())

    def test_the_admin_shows_whose_there_are_and_changes_none(self):
        self.save()
        pk = SavedSecret.objects.get().pk
        listed = self.get(self.root, "/admin/runs/savedsecret/")
        self.assertContains(listed, "API_KEY")
        for path in (f"{pk}/delete/", f"{pk}/change/", "add/"):
            response = self.client_of(self.root).post(
                f"/admin/runs/savedsecret/{path}", {"post": "yes", "name": "OTHER"}
            )
            self.assertEqual(response.status_code, 403, path)
        self.client_of(self.root).post(f"/admin/auth/user/{self.alice.pk}/delete/", {"post": "yes"})
        self.assertFalse(SavedSecret.objects.exists())


class RefusalTests(ApiCase):
    def test_values_too_short_to_be_masked_are_refused_unless_plain(self):
        short = ECHO | {"env": {"LEVEL": "debug", "EMPTY": ""}}
        refused = self.post(self.alice, "/api/runs", short)
        message = self.assert_error(refused, 422, "invalid", "env")
        self.assertIn("LEVEL: too short to be masked", message)
        taken = self.post(self.alice, "/api/runs", short | {"plain_env": ["LEVEL"]})
        self.assertEqual(taken.status_code, 201)
        self.assertEqual(taken.json()["plain_env"], {"LEVEL": "debug"})
        self.assertEqual(SECRET_CHARS, LEAST_CHARS)

    def test_names_that_do_not_fit_are_refused(self):
        for fields, field in (
            ({"plain_env": ["A"]}, "plain_env"),
            ({"plain_env": "A", "env": {"A": VALUE}}, "plain_env"),
            ({"plain_env": {"A": VALUE}}, "plain_env"),
            ({"secrets": "A"}, "secrets"),
            ({"secrets": [1]}, "secrets"),
            ({"secrets": ["A b"]}, "secrets"),
            ({"secrets": ["STREAMSITE_A"]}, "secrets"),
            ({"secrets": ["A"], "env": {"A": VALUE}}, "secrets"),
        ):
            with self.subTest(fields):
                refused = self.post(self.alice, "/api/runs", ECHO | fields)
                self.assert_error(refused, 422, "invalid", field)

    def test_the_form_takes_plain_and_saved_ones(self):
        SavedSecret.objects.save_value(self.alice, "KEY", VALUE)
        sent = {
            "kind": "command", "program": "true", "env_name": ["LEVEL", "TOKEN"],
            "env_value": ["debug", "long enough"], "env_kind": ["plain", "secret"],
            "secret": ["KEY"],
        }  # fmt: skip
        self.client_of(self.alice).post("/", sent)
        run = Run.objects.get()
        self.assertEqual(run.env_names, ["KEY", "LEVEL", "TOKEN"])
        self.assertEqual((run.env_plain, run.env_typed), ({"LEVEL": "debug"}, ["TOKEN"]))
        again = self.get(self.alice, f"/?from={run.public_id}")
        self.assertContains(again, 'value="KEY" checked')
        self.assertContains(again, 'value="debug"')
        SavedSecret.objects.all().delete()
        refused = self.client_of(self.alice).post("/", sent)
        self.assertContains(refused, "You have no saved secret KEY.", status_code=422)


class RerunTests(ApiCase):
    def rerun(self, run, body=None):
        return self.post(self.alice, f"/api/runs/{run.public_id}/rerun", body)

    def test_only_what_nobody_keeps_is_asked_for(self):
        SavedSecret.objects.save_value(self.alice, "KEY", VALUE)
        fields = {"env": {"LEVEL": "debug", "TOKEN": VALUE}, "plain_env": ("LEVEL",)}
        run = make_run(self.alice, secrets=("KEY",), **fields)
        self.assert_error(self.rerun(run), 409, "conflict", "TOKEN")
        sent = {"env": {"TOKEN": "another value", "LEVEL": "info"}}
        again = Run.objects.get(public_id=self.rerun(run, sent).json()["id"])
        self.assertEqual(again.env_plain, {"LEVEL": "info"})
        self.assertEqual(again.secret_environment(), {"TOKEN": "another value", "KEY": VALUE})
        self.assertEqual(again.saved_secrets, ["KEY"])

    def test_what_has_no_secrets_is_run_again_by_one_click(self):
        run = make_run(self.alice, env={"LEVEL": "debug"}, plain_env=("LEVEL",))
        self.client_of(self.alice).post(f"/runs/{run.public_id}/again/")
        self.assertEqual(Run.objects.latest("pk").env_plain, {"LEVEL": "debug"})


class ResealTests(ApiCase):
    def test_everything_is_sealed_with_the_new_key(self):
        with override_settings(SECRET_KEY="the old key"):
            SavedSecret.objects.save_value(self.alice, "KEY", VALUE)
            run = make_run(self.alice, Status.RUNNING, env={"TOKEN": VALUE})
        with override_settings(SECRET_KEY="the new", SECRET_KEY_FALLBACKS=["the old key"]):
            out = StringIO()
            call_command("reseal", stdout=out)
        self.assertEqual(out.getvalue(), "2 values are encrypted anew.\n")
        with override_settings(SECRET_KEY="the new", SECRET_KEY_FALLBACKS=[]):
            run.refresh_from_db()
            self.assertEqual(run.secret_environment(), {"TOKEN": VALUE})
            self.assertEqual(SavedSecret.objects.take(self.alice, ["KEY"]), {"KEY": VALUE})
        with (
            override_settings(SECRET_KEY="a third", SECRET_KEY_FALLBACKS=[]),
            self.assertRaisesMessage(CommandError, "STREAMSITE_SECRET_KEY_FALLBACKS"),
        ):
            call_command("reseal")
