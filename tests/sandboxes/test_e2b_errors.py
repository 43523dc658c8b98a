"""Every error of the SDK: what people are told, and whether it may pass."""

import json

import e2b
import httpx
from django.test import SimpleTestCase

from runs.sandboxes import e2b_errors
from runs.sandboxes.e2b_errors import explained, plain, said, turned_away, will_pass

# (error, what is said, whether it may pass)
ERRORS = [
    (e2b.SandboxNotRunningException("x"), e2b_errors.GONE, False),
    (e2b.SandboxNotFoundException("x"), e2b_errors.GONE, False),
    (e2b.TimeoutException("The sandbox was killed while"), e2b_errors.GONE, False),
    (e2b.TimeoutException("The sandbox was not found: this"), e2b_errors.GONE, False),
    (e2b.TimeoutException("Request timed out"), e2b_errors.NO_ANSWER, True),
    (e2b.SandboxUnreachableException("x"), e2b_errors.UNREACHABLE, True),
    (e2b.AuthenticationException("x"), e2b_errors.NO_ACCESS, False),
    (e2b.RateLimitException("x"), e2b_errors.QUOTA, True),
    (e2b.ServiceBusyException("x"), e2b_errors.BUSY, True),
    (e2b.NotEnoughSpaceException("x"), e2b_errors.WORDS["disk"], False),
    (e2b.TemplateException("x"), "The E2B template is too old for this server.", False),
    (e2b.InvalidArgumentException("cwd '/x' does not exist"),
     "The working directory cannot be used: cwd '/x' does not exist.", False),
    (e2b.InvalidArgumentException("other"), "E2B refused: other.", False),
    (e2b.NotFoundException("Context x not found"), "E2B refused: Context x not found.", False),
    (e2b.SandboxException("403: not yours", status_code=403), "E2B refused: 403: not yours.",
     False),
    (e2b.SandboxException("no such template", status_code=404), "E2B refused: no such", False),
    (e2b.SandboxException("500: down", status_code=500), "E2B refused: 500: down.", True),
    (e2b.SandboxException("500: of a file"), "E2B refused: 500: of a file.", True),
    (e2b.SandboxException("400: it was killed"), "E2B refused: 400: it was killed.", False),
    (e2b.SandboxException("5 hours are too long", status_code=400), "E2B refused: 5 hours", False),
    (e2b.SandboxException("boom", status_code=500), "E2B refused: boom.", True),
    (e2b.InvalidArgumentException("5 is too much"), "E2B refused: 5 is too much.", False),
    (e2b.SandboxException("Code.PERMISSION_DENIED: no"), "E2B refused: PERMISSION_DENIED: no.",
     False),
    (e2b.SandboxException("Code.INTERNAL: boom"), "E2B refused: INTERNAL: boom.", True),
    (e2b.SandboxException("Code.UNKNOWN: boom"), "E2B refused: UNKNOWN: boom.", True),
    (e2b.SandboxException("Code.ABORTED: boom"), "E2B refused: ABORTED: boom.", True),
    (e2b.SandboxException("401 Unauthorized: x"), e2b_errors.NO_ACCESS, False),
    (e2b.SandboxException("403 Forbidden: x"), e2b_errors.NO_ACCESS, False),
    (e2b.SandboxException("429 Too Many Requests"), e2b_errors.QUOTA, True),
    (e2b.SandboxException("503 Service Unavailable"), e2b_errors.BUSY, True),
    (e2b.SandboxException("500 Internal Server Error"), "E2B refused: 500 Internal", True),
    (httpx.ReadTimeout("x"), e2b_errors.NO_ANSWER, True),
    (httpx.ConnectTimeout("x"), e2b_errors.NO_ANSWER, True),
    (httpx.ConnectError("x"), e2b_errors.NO_E2B, True),
    (httpx.RemoteProtocolError("x"), e2b_errors.UNREACHABLE, True),
    (json.JSONDecodeError("x", "", 0), "E2B sent an answer that cannot be read.", True),
    (ConnectionRefusedError("x"), e2b_errors.NO_E2B, True),
    (Exception(e2b_errors.NO_END), e2b_errors.UNREACHABLE, True),
]  # fmt: skip


class SentenceTests(SimpleTestCase):
    def test_every_error_has_its_sentence_and_its_chance(self):
        for error, sentence, passes in ERRORS:
            with self.subTest(repr(error)):
                found = str(explained(error))
                self.assertTrue(found.startswith(sentence), found)
                self.assertEqual(will_pass(error), passes)

    def test_while_creating_it_is_the_administrators(self):
        refused = e2b.AuthenticationException("x")
        self.assertEqual(str(explained(refused, creating=True)), e2b_errors.KEY)
        for missing in (
            e2b.SandboxException("404: template 'x' not found", status_code=404),
            e2b.NotFoundException("template 'x' not found", status_code=404),
        ):
            told = str(explained(missing, creating=True))
            self.assertIn("no such template", told)
            self.assertIn("template 'x' not found)", told)

    def test_a_mistake_of_ours_has_none(self):
        for error in (RuntimeError("503 Ours"), KeyError("text"), Exception("other")):
            self.assertIsNone(explained(error))
            self.assertFalse(will_pass(error))

    def test_only_what_has_not_begun_is_sent_again(self):
        for error, begun in (
            (e2b.SandboxException("429 Too Many Requests: slow down"), False),
            (e2b.SandboxException("500 Internal Server Error: no kernel"), False),
            (e2b.SandboxException("503 Service Unavailable"), False),
            (e2b.TimeoutException("The sandbox is running but port is not open"), False),
            (httpx.ConnectError("x"), False),
            (e2b.SandboxException("401 Unauthorized"), True),
            (e2b.SandboxException("boom"), True),
            (e2b.TimeoutException("Execution timed out"), True),
            (e2b.NotFoundException("Context x not found"), True),
            (httpx.RemoteProtocolError("x"), True),
            (RuntimeError("ours"), True),
        ):
            with self.subTest(repr(error)):
                self.assertEqual(turned_away(error), not begun)

    def test_what_a_reader_says(self):
        for word, sentence in e2b_errors.WORDS.items():
            self.assertEqual(str(said(word)), sentence)
        told = str(said("Exec format error"))
        self.assertEqual(told, "The program could not be started: Exec format error.")

    def test_the_words_of_others_end_a_sentence(self):
        body = '500 Internal Server Error: {"code": 500, "message": "a \\"b\\"", "x": {}}'
        for words, sentence in (
            ("Code.INTERNAL: two\n  lines.", "INTERNAL: two lines."),
            ('{"message": "a \\q"}', "a \\q."),
            (body, '500 Internal Server Error: a "b".'),
            ("", "RuntimeError."),
            ("x" * 400, f"{'x' * 300}."),
        ):
            self.assertEqual(plain(RuntimeError(words)), sentence)
