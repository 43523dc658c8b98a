from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory, TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runs.models import ApiToken
from runs.web.identity import (
    Unauthorized,
    check_origin,
    csrf_refusal,
    identify,
    renewed,
    visible_run,
)
from tests.factories import make_run
from tests.people import make_people, make_user


def session_of(user) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def cookie(key: str) -> list:
    return [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={key}".encode())]


def bearer(secret: str, scheme: str = "Bearer") -> list:
    return [(b"authorization", f"{scheme} {secret}".encode())]


class SessionTests(TestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.key = session_of(self.alice)

    def test_a_session_tells_who_asks(self):
        identity = identify([(b"host", b"localhost"), *cookie(self.key)])
        self.assertEqual((identity.user, identity.session_key), (self.alice, self.key))
        self.assertIsNone(identity.token)
        self.assertIsNotNone(renewed(identity))

    def test_the_cookie_is_found_among_others_and_in_a_header_of_its_own(self):
        headers = [(b"cookie", b"theme=dark; x=1"), *cookie(self.key)]
        self.assertEqual(identify(headers).user, self.alice)

    def test_nothing_and_nonsense_are_refused_with_what_to_do(self):
        for headers in ([], cookie("unknown"), cookie(""), [(b"cookie", b"\xff=\xfe; ;;")]):
            with self.subTest(headers), self.assertRaisesRegex(Unauthorized, r"Log in"):
                identify(headers)

    def test_a_logout_ends_it(self):
        client = Client()
        client.force_login(self.alice)
        identity = identify(cookie(client.cookies[settings.SESSION_COOKIE_NAME].value))
        client.session.flush()
        self.assertIsNone(renewed(identity))

    def test_a_new_password_ends_it(self):
        identity = identify(cookie(self.key))
        self.alice.set_password("another one")
        self.alice.save()
        self.assertIsNone(renewed(identity))
        with self.assertRaises(Unauthorized):
            identify(cookie(self.key))

    def test_a_deactivated_user_is_out(self):
        identity = identify(cookie(self.key))
        User.objects.update(is_active=False)
        self.assertIsNone(renewed(identity))
        with self.assertRaises(Unauthorized):
            identify(cookie(self.key))

    def test_a_deleted_user_is_out(self):
        identity = identify(cookie(self.key))
        self.alice.delete()
        self.assertIsNone(renewed(identity))

    def test_a_session_made_with_the_key_before_this_one_holds_and_stays_as_it_is(self):
        with override_settings(SECRET_KEY="new key", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            identity = identify(cookie(self.key))
            self.assertIsNotNone(renewed(identity))


class TokenTests(TestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.token, self.secret = ApiToken.objects.make(self.alice, "script")

    def test_a_token_tells_who_asks(self):
        for scheme in ("Bearer", "bearer"):
            identity = identify(bearer(self.secret, scheme))
            self.assertEqual((identity.user, identity.token), (self.alice, self.token))
            self.assertIsNone(identity.session_key)
        self.assertIsNotNone(renewed(identity))

    def test_a_bad_token_is_refused_though_the_session_is_good(self):
        session = cookie(session_of(self.alice))
        for header in (
            bearer("sst_wrong"),
            bearer(""),
            bearer(self.secret, "Basic"),
            bearer(self.secret, "Token"),
            bearer(self.secret + " x"),
            bearer("\u00e9"),
            [(b"authorization", b"")],
            [(b"authorization", self.secret.encode())],
            bearer(self.secret) * 2,
        ):
            with self.subTest(header), self.assertRaises(Unauthorized):
                identify([*header, *session])

    def test_a_revoked_token_is_out(self):
        identity = identify(bearer(self.secret))
        ApiToken.objects.update(revoked_at=timezone.now())
        self.assertIsNone(renewed(identity))
        with self.assertRaisesRegex(Unauthorized, "revoked"):
            identify(bearer(self.secret))

    def test_a_deactivated_user_is_out(self):
        identity = identify(bearer(self.secret))
        User.objects.update(is_active=False)
        self.assertIsNone(renewed(identity))
        with self.assertRaises(Unauthorized):
            identify(bearer(self.secret))

    def test_its_use_is_noted_at_most_once_a_minute(self):
        identify(bearer(self.secret))
        self.token.refresh_from_db()
        first = self.token.last_used_at
        self.assertLess(timezone.now() - first, timedelta(seconds=30))

        with CaptureQueriesContext(
            connection,
        ) as queries:
            identify(bearer(self.secret))
        self.assertNotIn("UPDATE", " ".join(query["sql"] for query in queries))

        ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
        identify(bearer(self.secret))
        self.token.refresh_from_db()
        self.assertGreaterEqual(self.token.last_used_at, first)


class VisibilityTests(TestCase):
    def setUp(self):
        self.people = make_people()
        self.run_ = make_run(self.people.alice)

    def test_owner_auditor_and_superuser_see_a_run_and_others_do_not(self):
        seen = {
            name: visible_run(getattr(self.people, name), self.run_.public_id) is not None
            for name in ("alice", "bob", "auditor", "root")
        }
        self.assertEqual(seen, {"alice": True, "bob": False, "auditor": True, "root": True})

    def test_ids_that_cannot_be_are_nobodys(self):
        for public_id in ("", "nope", "a\0b", "x" * 500, "\u00e9", str(self.run_.pk)):
            self.assertIsNone(visible_run(self.people.root, public_id))

    def test_an_auditor_who_is_one_no_more_stops_watching(self):
        identity = identify(cookie(session_of(self.people.auditor)))
        self.assertIsNotNone(visible_run(identity.user, self.run_.public_id))
        self.people.auditor.user_permissions.remove(Permission.objects.get(codename="view_run"))
        # The first user still has the rights they came with; the renewed one does not.
        self.assertIsNotNone(visible_run(identity.user, self.run_.public_id))
        self.assertIsNone(visible_run(renewed(identity).user, self.run_.public_id))


def handshake(origin: str | None, host="localhost:8000", scheme="ws", more=()) -> dict:
    headers = [(b"host", host.encode()), *more]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return {
        "type": "websocket", "path": "/ws/runs/", "scheme": scheme,
        "query_string": b"after=\xff", "headers": headers,
    }  # fmt: skip


class OriginTests(TestCase):
    def test_our_own_pages_are_let_in(self):
        self.assertTrue(check_origin(handshake("http://localhost:8000")))
        self.assertTrue(check_origin(handshake("http://localhost", "localhost")))
        self.assertTrue(check_origin(handshake("http://localhost:80", "localhost")))
        self.assertTrue(check_origin(handshake("http://LOCALHOST:8000")))
        self.assertTrue(check_origin(handshake("https://localhost", "localhost", "wss")))
        self.assertTrue(check_origin(handshake("http://[::1]:8000", "[::1]:8000")))

    def test_others_are_not(self):
        for origin in (
            None,
            "null",
            "",
            "http://localhost",
            "http://localhost:9000",
            "https://localhost:8000",
            "http://127.0.0.1:8000",
            "http://localhost.evil.example:8000",
            "http://evil.example",
            "http://localhost:port",
            "ws://localhost:8000",
        ):
            with self.subTest(origin):
                self.assertFalse(check_origin(handshake(origin)))

    def test_a_host_that_is_not_ours_is_not_made_ours_by_a_matching_origin(self):
        self.assertFalse(check_origin(handshake("http://evil.example", "evil.example")))

    def test_two_origins_are_none(self):
        twice = handshake("http://localhost:8000", more=[(b"origin", b"http://evil.example")])
        self.assertFalse(check_origin(twice))

    def test_with_an_authorization_header_it_is_not_looked_at(self):
        scope = handshake("http://evil.example", more=bearer("whatever"))
        self.assertTrue(check_origin(scope))

    def test_behind_a_trusted_proxy_the_forwarded_address_counts(self):
        forwarded = [
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-host", b"runs.example"),
        ]
        scope = handshake("https://runs.example", "127.0.0.1:8000", more=forwarded)
        self.assertFalse(check_origin(scope))
        with override_settings(
            ALLOWED_HOSTS=["runs.example"],
            USE_X_FORWARDED_HOST=True,
            SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
        ):
            self.assertTrue(check_origin(scope))
            scope = handshake("http://runs.example", "127.0.0.1:8000", more=forwarded)
            self.assertFalse(check_origin(scope))


class CsrfTests(TestCase):
    def scope(self, *headers, method="POST") -> dict:
        return {
            "type": "http", "method": method, "path": "/api/stream/agent", "scheme": "http",
            "query_string": b"", "headers": [(b"host", b"localhost:8000"), *headers],
        }  # fmt: skip

    def proof(self) -> tuple[tuple, tuple]:
        """A CSRF cookie and the header that goes with it."""
        request = RequestFactory().get("/")
        token = get_token(request)
        secret = request.META["CSRF_COOKIE"]
        return (b"cookie", f"csrftoken={secret}".encode()), (b"x-csrftoken", token.encode())

    def test_a_header_that_fits_the_cookie_passes(self):
        cookie, header = self.proof()
        self.assertIsNone(csrf_refusal(self.scope(cookie, header)))
        origin = (b"origin", b"http://localhost:8000")
        self.assertIsNone(csrf_refusal(self.scope(cookie, header, origin)))

    def test_a_form_field_passes_too(self):
        cookie, header = self.proof()
        form = (b"content-type", b"application/x-www-form-urlencoded")
        length = (b"content-length", b"1000")
        body = b"csrfmiddlewaretoken=" + header[1]
        self.assertIsNone(csrf_refusal(self.scope(cookie, form, length), body))

    def test_anything_else_is_refused_with_what_to_do(self):
        cookie, header = self.proof()
        _, other = self.proof()
        multipart = (b"content-type", b"multipart/form-data; boundary=x")
        for headers in (
            (),
            (cookie,),
            (header,),
            (cookie, other),
            (cookie, multipart),
            (cookie, header, (b"origin", b"http://evil.example")),
            (cookie, header, (b"origin", b"null")),
        ):
            with self.subTest(headers):
                self.assertRegex(csrf_refusal(self.scope(*headers)), "Reload the page")

    def test_reading_and_tokens_need_no_proof(self):
        self.assertIsNone(csrf_refusal(self.scope(method="GET")))
        self.assertIsNone(csrf_refusal(self.scope(*bearer("sst_x"))))

    def test_a_foreign_host_is_refused(self):
        scope = self.scope((b"origin", b"http://evil.example"))
        scope["headers"][0] = (b"host", b"evil.example")
        self.assertIsNotNone(csrf_refusal(scope))
