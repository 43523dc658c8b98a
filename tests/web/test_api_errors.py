from unittest import mock

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.test import Client, RequestFactory, SimpleTestCase, override_settings

from runs.web import errors
from tests.factories import make_run

from .api_case import ApiCase


class ShapeTests(ApiCase):
    def test_unknown_paths_are_404_for_everyone_and_with_every_method(self):
        for path in ("/api", "/api/", "/api/nope", "/api/runs/", "/api/runs/a/b/c", "/api/%00"):
            for method in ("GET", "POST", "DELETE", "OPTIONS"):
                with self.subTest(path, method=method):
                    self.assert_error(self.call(None, method, path), 404, "not_found")
                    self.assert_error(self.call(self.root, method, path), 404, "not_found")

    @override_settings(DEBUG=True)
    def test_unknown_paths_look_the_same_while_debugging(self):
        self.assert_error(self.get(None, "/api/nope"), 404, "not_found")
        self.assert_error(self.get(self.alice, "/api/runs/nope"), 404, "not_found")

    def test_a_wrong_method_is_405_and_says_which_are_right(self):
        run = make_run(self.alice).public_id
        for method, path, allowed in (
            ("PUT", "/api/runs", "GET, POST"),
            ("PATCH", f"/api/runs/{run}", "DELETE, GET"),
            ("POST", f"/api/runs/{run}", "DELETE, GET"),
            ("POST", f"/api/runs/{run}/chunks", "GET"),
            ("GET", f"/api/runs/{run}/cancel", "POST"),
            ("GET", f"/api/runs/{run}/rerun", "POST"),
            ("POST", "/api/openapi.json", "GET"),
            ("DELETE", "/api/docs", "GET"),
            ("POST", "/health", "GET"),
            ("OPTIONS", "/api/runs", "GET, POST"),
        ):
            with self.subTest(path, method=method):
                client = Client(enforce_csrf_checks=True)
                client.force_login(self.alice)
                response = client.generic(method, path)
                self.assertIn(allowed, self.assert_error(response, 405, "method_not_allowed"))
                self.assertEqual(response["Allow"], allowed)

    def test_head_answers_like_get(self):
        run = make_run(self.alice).public_id
        for path in ("/api/runs", f"/api/runs/{run}", f"/api/runs/{run}/chunks", "/health"):
            self.assertEqual(self.call(self.alice, "HEAD", path).status_code, 200)
        self.assertEqual(self.call(None, "HEAD", "/api/runs").status_code, 401)

    @override_settings(ALLOWED_HOSTS=["localhost"])
    def test_a_foreign_host_is_400(self):
        client = Client(headers={"Host": "evil.example"})
        client.force_login(self.alice)
        with self.assertLogs("django.security.DisallowedHost", "ERROR"):
            response = client.get("/api/runs")
        self.assert_error(response, 400, "bad_request")

    def test_what_fails_unexpectedly_is_500_without_a_word_of_why(self):
        with mock.patch("runs.web.api_runs.visible_run", side_effect=ZeroDivisionError("secret")):
            client = Client(raise_request_exception=False)
            client.force_login(self.alice)
            with self.assertLogs("django.request", "ERROR"):
                response = client.get("/api/runs/x")
        self.assertNotIn("secret", self.assert_error(response, 500, "internal"))

    def test_a_database_that_does_not_answer_is_503(self):
        failing = mock.patch(
            "runs.web.api_runs.visible_run", side_effect=OperationalError("locked")
        )
        with failing, self.assertLogs("runs.web.api", "ERROR"):
            response = self.get(self.alice, "/api/runs/x")
        self.assert_error(response, 503, "unavailable")
        self.assertEqual(response["Retry-After"], "2")

    def test_answers_are_kept_by_nobody(self):
        make_run(self.alice)
        for user in (self.alice, None):
            self.assertEqual(self.get(user, "/api/runs")["Cache-Control"], "no-store")


class HandlerTests(SimpleTestCase):
    def test_under_api_they_answer_as_json_and_elsewhere_as_a_page(self):
        calls = {
            400: lambda request: errors.bad_request(request, SuspiciousOperation()),
            403: lambda request: errors.forbidden(request, PermissionDenied()),
            404: lambda request: errors.not_found(request, Exception()),
            500: errors.internal,
        }
        for status, call in calls.items():
            for path, content_type in (("/api/x", "application/json"), ("/apix", "text/html")):
                with self.subTest(status, path=path):
                    response = call(RequestFactory().get(path))
                    self.assertEqual(response.status_code, status)
                    self.assertTrue(response["Content-Type"].startswith(content_type))

    def test_a_forged_form_too(self):
        for path, content_type in (("/api/x", "application/json"), ("/runs/", "text/html")):
            response = errors.csrf_failure(RequestFactory().post(path), "CSRF token missing.")
            self.assertEqual(response.status_code, 403)
            self.assertTrue(response["Content-Type"].startswith(content_type))

    def test_outside_of_django_it_is_the_same_error(self):
        status, headers, body = errors.asgi_error("unauthorized", "Log in.")
        self.assertEqual((status, body), (401, errors.error_body("unauthorized", "Log in.")))
        self.assertIn((b"content-type", b"application/json"), headers)
        self.assertIn((b"www-authenticate", b"Bearer"), headers)
