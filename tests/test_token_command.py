from io import StringIO

from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import TestCase

from runs.models import ApiToken
from tests.people import make_user


def token(*args) -> str:
    out = StringIO()
    call_command("token", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


class TokenCommandTests(TestCase):
    def setUp(self):
        self.alice = make_user("alice")

    def test_a_token_is_made_and_its_secret_printed_once(self):
        secret = token("make", "alice", "nightly").strip()
        self.assertEqual(ApiToken.objects.usable(secret).user, self.alice)
        listed = token("list")
        self.assertIn("nightly", listed)
        self.assertIn("unused", listed)
        self.assertNotIn(secret, listed)

    def test_only_a_users_own_are_listed_when_asked(self):
        make_user("bob")
        token("make", "alice", "nightly")
        self.assertEqual(token("list", "bob"), "")
        self.assertIn("alice", token("list", "alice"))

    def test_a_revoked_token_works_no_more(self):
        secret = token("make", "alice", "nightly").strip()
        pk = ApiToken.objects.get().pk
        self.assertIn("revoked", token("revoke", str(pk)))
        self.assertIsNone(ApiToken.objects.usable(secret))
        self.assertIn("revoked", token("list"))
        with self.assertRaisesRegex(CommandError, "already"):
            token("revoke", str(pk))

    def test_mistakes_end_in_a_sentence(self):
        for args in (
            ("make", "nobody", "x"),
            ("make", "alice", " "),
            ("make", "alice", "x" * 81),
            ("make", "alice", "a\nb"),
            ("list", "nobody"),
            ("revoke", "99"),
        ):
            with self.subTest(args), self.assertRaisesRegex(CommandError, r"\.$"):
                token(*args)
