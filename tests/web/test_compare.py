"""Comparing two runs, on a page and as JSON, for who may see both."""

import time
from unittest import mock

from runs.access import AccessEvent
from runs.models import Status
from runs.web import compared
from runs.web.api_compare import Comparison
from tests.factories import make_run

from .api_case import ApiCase

HOSTILE = "\x1b[31m<script>alert(1)</script>\u202e{{ x }}"


class CompareCase(ApiCase):
    def setUp(self):
        self.old = make_run(self.alice, chunks=["one\n", "two\n"], title="Nightly")
        self.new = make_run(
            self.alice, Status.FAILED, chunks=["one\n", HOSTILE + "\n"], title="Nightly",
            rerun_of=self.old,
        )  # fmt: skip
        self.page = f"/runs/{self.old.public_id}/compare/{self.new.public_id}/"
        self.api = f"/api{self.page}".rstrip("/")


class ApiTests(CompareCase):
    def test_what_differs(self):
        found = self.get(self.alice, self.api).json()
        Comparison.model_validate(found)
        self.assertEqual(
            (found["a"]["id"], found["b"]["id"]), (self.old.public_id, self.new.public_id)
        )
        self.assertEqual((found["same"], found["exact"]), (False, False))
        (output,) = found["outputs"]
        self.assertEqual(
            [
                (line["kind"], line["a"], line["b"], line["text"])
                for line in output["hunks"][0]["lines"]
            ],
            [("same", 1, 1, "one"), ("removed", 2, None, "two"), ("added", None, 2, HOSTILE)],
        )
        self.assertTrue(self.get(self.alice, self.api, exact=1).json()["exact"])
        self.assertEqual(self.get(self.auditor, self.api).status_code, 200)

    def test_both_have_to_be_yours_to_see(self):
        foreign = make_run(self.bob, chunks=["secret\n"])
        for user in (self.bob, self.alice):
            for pair in ((self.old, foreign), (foreign, self.old)):
                ids = [run.public_id for run in pair]
                path = f"/runs/{ids[0]}/compare/{ids[1]}"
                self.assert_error(self.get(user, "/api" + path), 404, "not_found")
                self.assertEqual(self.get(user, path + "/").status_code, 404)
        self.assert_error(self.get(None, self.api), 401, "unauthorized")
        self.assertEqual(self.get(None, self.page).status_code, 302)
        for path in (f"/api/runs/{self.old.public_id}/compare/nothing", "/api/runs/x/compare/y"):
            self.assert_error(self.get(self.alice, path), 404, "not_found")

    def test_bad_wishes(self):
        self.assert_error(self.get(self.alice, self.api, exact="x"), 400, "bad_request", "exact")
        self.assert_error(self.get(self.alice, self.api, exakt=1), 400, "bad_request", "exakt")

    def test_both_count_as_read(self):
        AccessEvent.objects.all().delete()
        self.client_of(self.alice)
        self.get(self.alice, self.api)
        self.get(self.alice, self.page)
        events = AccessEvent.objects.filter(action="read").order_by("pk")
        pairs = [(event.run, event.detail["compared_with"]) for event in events]
        ids = self.old.public_id, self.new.public_id
        self.assertEqual(pairs, [ids, ids[::-1]] * 2)

    def test_only_so_many_at_once(self):
        with mock.patch.object(compared, "WAIT_SECONDS", 0.01):
            for _ in range(compared.AT_ONCE):
                compared._free.acquire()
            try:
                busy = self.get(self.alice, self.api)
                page = self.get(self.alice, self.page)
            finally:
                for _ in range(compared.AT_ONCE):
                    compared._free.release()
        self.assert_error(busy, 503, "unavailable")
        self.assertEqual(busy["Retry-After"], "5")
        self.assertContains(page, "Try again in a moment", status_code=503)
        self.assertEqual(self.get(self.alice, self.api).status_code, 200)

    def test_only_so_many_wait_for_their_turn(self):
        # Each of them has one of the threads that answer all requests.
        most = compared.AT_ONCE + compared.MOST_WAITING
        for _ in range(most):
            compared._room.acquire()
        try:
            began = time.monotonic()
            self.assert_error(self.get(self.alice, self.api), 503, "unavailable")
            self.assertLess(time.monotonic() - began, compared.WAIT_SECONDS)
        finally:
            for _ in range(most):
                compared._room.release()
        self.assertEqual(self.get(self.alice, self.api).status_code, 200)


class PageTests(CompareCase):
    def test_it_shows_what_differs_as_text(self):
        page = self.get(self.alice, self.page)
        self.assertContains(page, "They did not print the same")
        self.assertContains(page, "&lt;script&gt;alert(1)&lt;/script&gt;‹U+202E›{{ x }}")
        self.assertNotContains(page, "<script>alert")
        self.assertNotContains(page, "\x1b")
        self.assertContains(page, f'href="/runs/{self.new.public_id}/#L2"')
        self.assertContains(page, "Failed")
        exact = self.get(self.alice, self.page + "?exact=1")
        self.assertContains(exact, "␛[31m&lt;script&gt;")

    def test_the_same(self):
        page = self.get(self.alice, f"/runs/{self.old.public_id}/compare/{self.old.public_id}/")
        self.assertContains(page, "Both printed the same, times and other volatile parts set aside")

    def test_which_one_with(self):
        other = make_run(self.alice, title="Nightly")
        make_run(self.alice, title="Something else")
        make_run(self.bob, title="Nightly")
        page = self.get(self.alice, f"/runs/{self.new.public_id}/compare/")
        self.assertContains(page, self.page)
        self.assertContains(page, "which this one repeats")
        self.assertNotContains(page, other.public_id)
        page = self.get(self.alice, f"/runs/{self.old.public_id}/compare/")
        self.assertContains(page, "which repeats this one")
        page = self.get(self.alice, f"/runs/{other.public_id}/compare/")
        self.assertContains(page, f"/runs/{self.old.public_id}/compare/{other.public_id}/")
        self.assertNotContains(page, "Something else")
        alone = make_run(self.bob, title="Alone")
        page = self.get(self.bob, f"/runs/{alone.public_id}/compare/")
        self.assertContains(page, "No earlier run has this title")

    def test_one_that_is_named(self):
        choose = f"/runs/{self.new.public_id}/compare/"
        for wanted in (self.old.public_id, f" https://x.example/runs/{self.old.public_id}/ "):
            response = self.get(self.alice, choose, **{"with": wanted})
            self.assertRedirects(response, self.page, fetch_redirect_response=False)
        foreign = make_run(self.bob)
        for wanted in (foreign.public_id, "nothing", "a\0b", "<b>", "x" * 5_000):
            response = self.get(self.alice, choose, **{"with": wanted})
            self.assertContains(response, "There is no such run", status_code=404)
            self.assertNotContains(response, "<b>", status_code=404)
        self.assertEqual(self.get(self.bob, choose).status_code, 404)
