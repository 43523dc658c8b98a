from datetime import timedelta
from urllib.parse import quote

from runs.models import Chunk, Run, Status
from tests.factories import STARTED, make_run

from .api_case import ApiCase


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


class DeleteTests(ApiCase):
    def delete(self, user, run):
        return self.call(user, "DELETE", f"/api/runs/{run.public_id}")

    def test_a_run_goes_with_its_log_and_without_anothers(self):
        run = make_run(self.alice, chunks=["x"] * 25)
        other = make_run(self.alice, chunks=["y"])
        again = make_run(self.alice, rerun_of=run)
        response = self.delete(self.alice, run)
        self.assertEqual((response.status_code, response.content), (204, b""))
        self.assertEqual(list(Run.objects.order_by("pk")), [other, again])
        self.assertEqual([chunk.run_id for chunk in Chunk.objects.all()], [other.pk])
        self.assert_error(self.delete(self.alice, run), 404, "not_found")

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
