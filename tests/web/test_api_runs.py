from datetime import timedelta
from urllib.parse import quote

import orjson
from django.test import Client

from runs.fields import seal
from runs.models import Chunk, Run, Status
from runs.streaming import deletion
from tests.factories import STARTED, make_run

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
            "timeout": 0, "env": {"KEY": "hidden"}, "cwd": "/tmp", "stdin": True, "title": "One",
        }  # fmt: skip
        response = self.post(self.alice, "/api/runs", sent)
        self.assertEqual(response.status_code, 201)
        self.assertNotIn(b"hidden", response.content)
        run = response.json()
        stored = Run.objects.get()
        self.assertNotIn("hidden", stored.env_sealed)
        self.assertEqual(stored.to_launch().env, {"KEY": "hidden"})
        self.assertEqual({name: run[name] for name in sent}, sent | {"env": ["KEY"]})

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
            b'{"a":' * 1_020 + b"1" + b"}" * 1_020,
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


class ListTests(ApiCase):
    def ids(self, user, **query) -> list[str]:
        response = self.get(user, "/api/runs", **query)
        self.assertEqual(response.status_code, 200, response.content)
        return [run["id"] for run in response.json()["items"]]

    def test_everyone_sees_their_own_and_auditors_everything_newest_first(self):
        first, second, third = make_run(self.alice), make_run(self.bob), make_run(self.alice)
        self.assertEqual(self.ids(self.alice), [third.public_id, first.public_id])
        self.assertEqual(self.ids(self.bob), [second.public_id])
        for user in (self.auditor, self.root):
            everything = [third.public_id, second.public_id, first.public_id]
            self.assertEqual(self.ids(user), everything)
        self.assert_error(self.get(None, "/api/runs"), 401, "unauthorized")

    def test_no_filter_shows_a_foreign_run(self):
        make_run(self.alice, title="needle")
        self.assertEqual(self.ids(self.bob, owner="alice"), [])
        self.assertEqual(self.ids(self.bob, q="needle"), [])
        self.assertEqual(self.ids(self.bob, cursor="f_________8"), [])

    def test_filters(self):
        failed = make_run(self.alice, Status.FAILED).public_id
        queued = make_run(self.alice, Status.QUEUED, kind="python").public_id
        bobs = make_run(self.bob).public_id
        self.assertEqual(self.ids(self.root, status="failed"), [failed])
        self.assertEqual(self.ids(self.root, status="failed,queued"), [queued, failed])
        self.assertEqual(self.ids(self.root, status=["failed", "queued"]), [queued, failed])
        self.assertEqual(self.ids(self.root, kind="python"), [queued])
        self.assertEqual(self.ids(self.root, owner="bob"), [bobs])
        self.assertEqual(self.ids(self.root, owner="nobody"), [])
        self.assertEqual(self.ids(self.root, owner="alice", status="failed"), [failed])
        everything = [bobs, queued, failed]
        self.assertEqual(self.ids(self.root, status="", kind="", q="", limit=""), everything)

    def test_search_looks_into_title_program_and_last_line(self):
        titled = make_run(self.alice, title="Nightly BACKUP").public_id
        program = 'print("50% größer", r"C:\\dir")\n'
        programmed = make_run(self.alice, program=program, title="x").public_id
        ended = make_run(self.alice, chunks=["first\n", "the end_of it\n"], title="y").public_id
        for words, found in (
            ("backup", [titled]),
            ('"50%', [programmed]),
            ("größer", [programmed]),
            ("C:\\dir", [programmed]),
            ("end_of", [ended]),
            ("endxof", []),
            ("first", []),
            ("%", [programmed]),
        ):
            with self.subTest(words):
                self.assertEqual(self.ids(self.alice, q=words), found)

    def test_by_date_of_creation(self):
        old, new = make_run(self.alice), make_run(self.alice)
        Run.objects.filter(pk=old.pk).update(created_at=STARTED)
        Run.objects.filter(pk=new.pk).update(created_at=STARTED + timedelta(days=1))
        old, new = old.public_id, new.public_id
        for query, found in (
            ({"created_after": "2025-01-31T12:00:00Z"}, [new, old]),
            ({"created_after": "2025-01-31T12:00:00.001Z"}, [new]),
            ({"created_after": "2025-01-31T13:00:00+01:00"}, [new, old]),
            ({"created_after": "2025-01-31T13:00:00 01:00"}, [new, old]),  # an unescaped +
            ({"created_after": "2025-02-01"}, [new]),
            ({"created_before": "2025-01-31 12:00"}, []),
            ({"created_before": "2025-02-01"}, [old]),
            ({"created_after": "2025-02-01", "created_before": "2025-02-01"}, []),
        ):
            with self.subTest(query):
                self.assertEqual(self.ids(self.alice, **query), found)

    def test_pages_hold_every_run_once_even_when_new_ones_arrive(self):
        runs = [make_run(self.alice).public_id for _ in range(5)]
        seen, cursor = [], ""
        while cursor is not None:
            page = self.get(self.alice, "/api/runs", limit=2, cursor=cursor).json()
            seen += [run["id"] for run in page["items"]]
            cursor = page["next"]
            make_run(self.alice)
        self.assertEqual(seen, runs[::-1])

    def test_a_full_last_page_says_that_it_is_the_last(self):
        make_run(self.alice)
        make_run(self.alice)
        self.assertIsNone(self.get(self.alice, "/api/runs", limit=2).json()["next"])

    def test_a_page_of_large_programs_ends_early(self):
        for _ in range(3):
            make_run(self.alice, program="x" * 5 * 1024**2)
        page = self.get(self.alice, "/api/runs").json()
        self.assertEqual(len(page["items"]), 2)
        rest = self.get(self.alice, "/api/runs", cursor=page["next"]).json()
        self.assertEqual((len(rest["items"]), rest["next"]), (1, None))

    def test_bad_filters_are_named(self):
        for name, values in {
            "status": ("done", "failed,done"),
            "kind": ("rocket",),
            "limit": ("0", "-1", "201", "5.0", "1e2", "x", "1_0", "+5", "９", str(2**64)),
            "cursor": ("x", "!!!", "-1", "AAAAAAAAAAAA", "_" * 11, "A" * 5000, "é"),
            "created_after": ("yesterday", "2025-13-01", "9" * 30, "0001-01-01T00:00:00+23:00"),
            "created_before": ("12",),
            "q": ("x" * 201, "a\0b"),
            "owner": ("x" * 201, "a\0b"),
            "stauts": ("failed",),
        }.items():
            for value in values:
                with self.subTest(name, value=value[:30]):
                    refused = self.get(self.alice, "/api/runs", **{name: value})
                    self.assert_error(refused, 400, "bad_request", name)


class LookTests(ApiCase):
    def test_owner_auditor_and_superuser_see_a_run_and_others_do_not(self):
        run = make_run(self.alice, chunks=["one\n"])
        path = f"/api/runs/{run.public_id}"
        for user in (self.alice, self.auditor, self.root):
            self.assertEqual(self.get(user, path).json()["last_line"], "one")
        self.assert_error(self.get(self.bob, path), 404, "not_found")
        self.assert_error(self.get(None, path), 401, "unauthorized")

    def test_a_foreign_run_looks_like_one_that_is_not_there(self):
        foreign = self.get(self.bob, f"/api/runs/{make_run(self.alice).public_id}")
        self.assertEqual(foreign.content, self.get(self.bob, "/api/runs/nope").content)

    def test_ids_that_cannot_be_are_404(self):
        for run_id in ("nope", quote("a\0b"), "x" * 3000, quote("é"), quote("../admin", safe="")):
            with self.subTest(run_id[:20]):
                self.assert_error(self.get(self.root, f"/api/runs/{run_id}"), 404, "not_found")

    def test_env_values_stay_hidden(self):
        run = make_run(self.alice, Status.RUNNING, env={"TOKEN": "very secret"})
        response = self.get(self.root, f"/api/runs/{run.public_id}")
        self.assertEqual(response.json()["env"], ["TOKEN"])
        self.assertNotIn(b"very secret", response.content)


class CancelTests(ApiCase):
    def test_a_queued_run_ends_at_once(self):
        run = make_run(self.alice, Status.QUEUED)
        response = self.post(self.alice, f"/api/runs/{run.public_id}/cancel")
        self.assertEqual((response.status_code, response.json()["status"]), (202, "cancelled"))

    def test_a_running_one_is_asked_to_end(self):
        run = make_run(self.alice, Status.RUNNING)
        self.assertEqual(self.post(self.root, f"/api/runs/{run.public_id}/cancel").status_code, 202)
        self.assertIsNotNone(Run.objects.get().cancel_requested_at)

    def test_an_ended_one_is_409(self):
        path = f"/api/runs/{make_run(self.alice).public_id}/cancel"
        self.assert_error(self.post(self.alice, path), 409, "conflict")

    def test_others_may_not(self):
        run = make_run(self.alice, Status.RUNNING)
        path = f"/api/runs/{run.public_id}/cancel"
        self.assert_error(self.post(self.auditor, path), 403, "forbidden")
        self.assert_error(self.post(self.bob, path), 404, "not_found")
        self.assert_error(self.post(None, path), 401, "unauthorized")
        self.assertIsNone(Run.objects.get().cancel_requested_at)


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
        run = make_run(self.alice, env={"A": "1", "B": "2"})
        path = f"/api/runs/{run.public_id}/rerun"
        self.assert_error(self.post(self.alice, path), 409, "conflict", "A", "B")
        some = self.post(self.alice, path, {"env": {"A": "1"}})
        self.assertIn("B", self.assert_error(some, 409, "conflict", "B"))
        again = self.post(self.alice, path, {"env": {"A": "1", "B": "3"}})
        self.assertEqual(again.json()["env"], ["A", "B"])
        stored = Run.objects.get(public_id=again.json()["id"])
        self.assertEqual(stored.to_launch().env, {"A": "1", "B": "3"})

    def test_of_an_active_run_the_values_are_still_kept(self):
        run = make_run(self.alice, Status.RUNNING, env={"A": "1", "B": "2"})
        again = self.post(self.alice, f"/api/runs/{run.public_id}/rerun", {"env": {"B": "3"}})
        stored = Run.objects.get(public_id=again.json()["id"])
        self.assertEqual(stored.to_launch().env, {"A": "1", "B": "3"})

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


class DeleteTests(ApiCase):
    def delete(self, user, run):
        return self.call(user, "DELETE", f"/api/runs/{run.public_id}")

    def test_a_run_goes_with_its_log_and_without_anothers(self):
        run = make_run(self.alice, chunks=["x"] * 25)
        other = make_run(self.alice, chunks=["y"])
        again = make_run(self.alice, rerun_of=run)
        self.addCleanup(setattr, deletion, "SLICE", deletion.SLICE)
        deletion.SLICE = 10
        response = self.delete(self.alice, run)
        self.assertEqual((response.status_code, response.content), (204, b""))
        self.assertEqual(list(Run.objects.order_by("pk")), [other, again])
        self.assertEqual([chunk.run_id for chunk in Chunk.objects.all()], [other.pk])
        self.assert_error(self.delete(self.alice, run), 404, "not_found")

    def test_the_writer_is_never_held_for_more_than_a_slice(self):
        run = make_run(self.alice, chunks=["x"] * 25)
        self.addCleanup(setattr, deletion, "SLICE", deletion.SLICE)
        deletion.SLICE = 10
        with self.assertNumQueries(6):
            # Three slices, what the run's own delete looks for (chunks left, runs
            # that repeat it), the run.
            deletion.delete_run(run)

    def test_an_active_run_is_409(self):
        for status in (Status.QUEUED, Status.STARTING, Status.RUNNING):
            with self.subTest(status):
                run = make_run(self.alice, status)
                self.assert_error(self.delete(self.alice, run), 409, "conflict")

    def test_others_may_not(self):
        run = make_run(self.alice)
        self.assert_error(self.delete(self.auditor, run), 403, "forbidden")
        self.assert_error(self.delete(self.bob, run), 404, "not_found")
        self.assert_error(self.delete(None, run), 401, "unauthorized")
        self.assertEqual(self.delete(self.root, run).status_code, 204)
