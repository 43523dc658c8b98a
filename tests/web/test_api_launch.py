import orjson
from django.test import Client

from runs.fields import seal
from runs.models import Run, Status
from tests.factories import make_run

from .api_case import ApiCase

ECHO = {"kind": "command", "program": "echo hello"}


class LaunchTests(ApiCase):
    def test_a_run_is_launched_and_found_where_location_says(self):
        response = self.post(self.alice, "/api/runs", ECHO | {"title": "Hello", "timeout": 5})
        self.assertEqual(response.status_code, 201)
        run = response.json()
        self.assertEqual(response["Location"], f"/api/runs/{run['id']}")
        self.assertEqual(
            (run["kind"], run["status"], run["title"], run["owner"], run["timeout"]),
            ("command", "queued", "Hello", "alice", 5),
        )
        self.assertEqual(self.get(self.alice, response["Location"]).json(), run)

    def test_every_field_arrives(self):
        sent = {
            "kind": "python", "mode": "script", "language": "python", "program": "print(1)",
            "timeout": 0, "cwd": "/tmp", "stdin": True, "title": "One",
            "env": {"KEY": "hidden value", "LEVEL": "3"}, "plain_env": ["LEVEL"],
        }  # fmt: skip
        response = self.post(self.alice, "/api/runs", sent)
        self.assertEqual(response.status_code, 201)
        self.assertNotIn(b"hidden value", response.content)
        run = response.json()
        stored = Run.objects.get()
        self.assertNotIn("hidden", stored.env_sealed)
        self.assertEqual(stored.to_launch().env, {"KEY": "hidden value", "LEVEL": "3"})
        shown = {"env": ["KEY", "LEVEL"], "plain_env": {"LEVEL": "3"}}
        self.assertEqual({name: run[name] for name in sent}, sent | shown)

    def test_a_token_launches_without_a_csrf_proof(self):
        headers = self.token_headers(self.bob)
        client = Client(enforce_csrf_checks=True)
        response = client.post("/api/runs", ECHO, "application/json", headers=headers)
        self.assertEqual((response.status_code, response.json()["owner"]), (201, "bob"))

    def test_a_session_needs_a_csrf_proof(self):
        client = Client(enforce_csrf_checks=True)
        client.force_login(self.alice)
        self.assert_error(client.post("/api/runs", ECHO, "application/json"), 403, "csrf")
        form = client.post("/api/runs", {"kind": "command", "program": "id"})
        self.assert_error(form, 403, "csrf")
        self.assertEqual(Run.objects.count(), 0)

    def test_nobody_launches_without_a_login(self):
        self.assert_error(self.post(None, "/api/runs", ECHO), 401, "unauthorized")
        headers = {"Authorization": "Bearer sst_wrong"}
        refused = self.post(self.alice, "/api/runs", ECHO, headers=headers)
        self.assert_error(refused, 401, "unauthorized")
        self.assertEqual(refused["WWW-Authenticate"], "Bearer")

    def test_each_bad_field_is_named_with_a_sentence(self):
        cases = [
            ({}, "kind", "program"),
            ({"kind": "rocket", "program": "x"}, "kind"),
            ({"kind": ["command"], "program": "x"}, "kind"),
            ({"kind": "command"}, "program"),
            ({"kind": "command", "program": " \n"}, "program"),
            ({"kind": "command", "program": 5}, "program"),
            ({"kind": "command", "program": "a\0b"}, "program"),
            ({"kind": "command", "program": "x" * (256 * 1024 + 1)}, "program"),
            ({"kind": "command", "program": ["x"]}, "program"),
            ({"kind": "command", "program": "x", "mode": "script"}, "mode"),
            ({"kind": "python", "program": "x", "mode": "turbo"}, "mode"),
            ({"kind": "python", "program": "x", "language": "cobol"}, "language"),
            ({"kind": "parallel", "program": "x"}, "program"),
            ({"kind": "parallel", "program": []}, "program"),
            ({"kind": "parallel", "program": ["x"] * 10_000}, "program"),
            ({"kind": "parallel", "program": ["x", ""]}, "program"),
            (ECHO | {"timeout": "5"}, "timeout"),
            (ECHO | {"timeout": True}, "timeout"),
            (ECHO | {"timeout": -1}, "timeout"),
            (ECHO | {"timeout": 86_401}, "timeout"),
            (ECHO | {"timeout": 1e30}, "timeout"),
            (ECHO | {"stdin": "yes"}, "stdin"),
            (ECHO | {"stdin": 1}, "stdin"),
            (ECHO | {"env": ["A=1"]}, "env"),
            (ECHO | {"env": {"A": 1}}, "env"),
            (ECHO | {"env": {"1A": "x"}}, "env"),
            (ECHO | {"title": "x" * 121}, "title"),
            (ECHO | {"owner": "root"}, "owner"),
            (ECHO | {"timeout": "5", "stdin": 1}, "stdin", "timeout"),
        ]  # fmt: skip
        for sent, *fields in cases:
            with self.subTest(str(sent)[:80]):
                self.assert_error(self.post(self.alice, "/api/runs", sent), 422, "invalid", *fields)
        self.assertEqual(Run.objects.count(), 0)

    def test_what_is_not_a_json_object_is_refused(self):
        for body in (
            b"", b"{", b"nonsense", b"\xff\xfe", b"[]", b'"x"', b"null", b"5",
            b'{"kind": NaN}', b'{"timeout": Infinity}', b'{"a": "\\ud800"}',
            b'{"kind": "command", "kind": "python", "program": "x"}',
            b'{"env": {"A": "1", "A": "2"}}', b"\xef\xbb\xbf{}", b"[" * 100_000,
            b'{"a":' * 1_100 + b"1" + b"}" * 1_100,
        ):  # fmt: skip
            with self.subTest(body[:40]):
                response = self.call(
                    self.alice, "POST", "/api/runs", data=body, content_type="application/json"
                )
                self.assert_error(response, 400, "bad_request")

    def test_other_content_types_are_refused(self):
        for content_type in (
            "", "text/plain", "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x", "application/json; charset=latin-1",
        ):  # fmt: skip
            with self.subTest(content_type):
                response = self.call(
                    self.alice, "POST", "/api/runs",
                    data=orjson.dumps(ECHO), content_type=content_type,
                )  # fmt: skip
                self.assert_error(response, 415, "unsupported_media_type")

    def test_a_body_that_is_too_large_is_refused(self):
        response = self.post(self.alice, "/api/runs", ECHO | {"title": "x" * (2 * 1024**2)})
        self.assertIn("2,097,152", self.assert_error(response, 413, "too_large"))

    def test_the_largest_program_fits_even_when_every_character_is_escaped(self):
        program = "\x01" * (256 * 1024)
        response = self.post(self.alice, "/api/runs", ECHO | {"program": program})
        self.assertEqual(response.status_code, 201)

    def test_a_kind_that_is_not_configured_is_503(self):
        response = self.post(self.alice, "/api/runs", {"kind": "agent", "program": "hi"})
        if response.status_code != 201:
            self.assert_error(response, 503, "not_configured")


class RerunTests(ApiCase):
    def test_the_same_program_is_launched_again(self):
        run = make_run(self.alice, Status.FAILED, title="Again", timeout=7, cwd="/tmp", stdin=True)
        response = self.post(self.alice, f"/api/runs/{run.public_id}/rerun")
        self.assertEqual(response.status_code, 201)
        again = response.json()
        self.assertEqual(response["Location"], f"/api/runs/{again['id']}")
        self.assertNotEqual(again["id"], run.public_id)
        same = ("kind", "program", "title", "timeout", "cwd", "stdin")
        before = self.get(self.alice, f"/api/runs/{run.public_id}").json()
        self.assertEqual([again[n] for n in same], [before[n] for n in same])
        self.assertEqual(Run.objects.get(public_id=again["id"]).rerun_of, run)

    def test_a_rerun_by_a_superuser_is_theirs(self):
        run = make_run(self.alice)
        response = self.post(self.root, f"/api/runs/{run.public_id}/rerun", {})
        self.assertEqual(response.json()["owner"], "root")

    def test_values_that_are_no_longer_kept_are_named_and_can_be_sent_again(self):
        run = make_run(self.alice, env={"A": "value one", "B": "value two"})
        path = f"/api/runs/{run.public_id}/rerun"
        self.assert_error(self.post(self.alice, path), 409, "conflict", "A", "B")
        some = self.post(self.alice, path, {"env": {"A": "value one"}})
        self.assertIn("B", self.assert_error(some, 409, "conflict", "B"))
        again = self.post(self.alice, path, {"env": {"A": "value one", "B": "value three"}})
        self.assertEqual(again.json()["env"], ["A", "B"])
        stored = Run.objects.get(public_id=again.json()["id"])
        self.assertEqual(stored.to_launch().env, {"A": "value one", "B": "value three"})

    def test_of_an_active_run_the_values_are_still_kept(self):
        run = make_run(self.alice, Status.RUNNING, env={"A": "value one", "B": "value two"})
        path = f"/api/runs/{run.public_id}/rerun"
        again = self.post(self.alice, path, {"env": {"B": "value three"}})
        stored = Run.objects.get(public_id=again.json()["id"])
        self.assertEqual(stored.to_launch().env, {"A": "value one", "B": "value three"})

    def test_values_sealed_with_a_lost_key_are_no_longer_kept(self):
        run = make_run(self.alice, Status.RUNNING, env={"A": "1"})
        with self.settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[]):
            sealed = seal({"A": "1"})
        Run.objects.filter(pk=run.pk).update(env_sealed=sealed)
        path = f"/api/runs/{run.public_id}/rerun"
        self.assert_error(self.post(self.alice, path), 409, "conflict", "A")

    def test_bad_bodies_are_refused(self):
        path = f"/api/runs/{make_run(self.alice).public_id}/rerun"
        for sent in ({"env": "A=1"}, {"env": {"A": 1}}, {"env": []}, {"env": {"": "x"}}):
            with self.subTest(sent):
                self.assert_error(self.post(self.alice, path, sent), 422, "invalid", "env")
        refused = self.post(self.alice, path, {"program": "rm"})
        self.assert_error(refused, 422, "invalid", "program")
        text = self.call(self.alice, "POST", path, data=b"hello", content_type="text/plain")
        self.assert_error(text, 415, "unsupported_media_type")
        self.assertEqual(Run.objects.count(), 1)

    def test_others_may_not(self):
        path = f"/api/runs/{make_run(self.alice).public_id}/rerun"
        self.assert_error(self.post(self.auditor, path), 403, "forbidden")
        self.assert_error(self.post(self.bob, path), 404, "not_found")
        self.assert_error(self.post(None, path), 401, "unauthorized")
        self.assertEqual(Run.objects.count(), 1)
