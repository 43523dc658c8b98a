"""The pages as three people see them: alice owns the run, bob may not see it, the
auditor may see but not change it."""

import json
import re

from django.test import TestCase
from django.urls import reverse

from runs.examples import examples
from runs.kinds import check_configured, parse_spec
from runs.models import ApiToken, Run, Status
from runs.web import window

from .. import factories
from ..people import make_people


def make_run(owner, status=Status.SUCCEEDED, chunks=(), **fields):
    """A run whose chunks are (stream, text) or (stream, text, data)."""
    stored = [
        {"stream": stream, "text": text, "data": json.dumps(data[0]) if data else None}
        for stream, text, *data in chunks
    ]
    return factories.make_run(owner, status, stored, **{"program": "echo hi", **fields})


class PageTestCase(TestCase):
    def setUp(self):
        people = make_people()
        self.alice, self.bob, self.auditor = people.alice, people.bob, people.auditor

    def as_(self, user):
        self.client.force_login(user)
        return self.client

    def page(self, run, user=None, query=""):
        return self.as_(user or self.alice).get(reverse("run-page", args=[run.public_id]) + query)


class AccessTests(PageTestCase):
    def test_everything_needs_a_login(self):
        run = make_run(self.alice)
        for address in ("/", "/runs/", f"/runs/{run.public_id}/", "/account/"):
            with self.subTest(address):
                response = self.client.get(address)
                self.assertRedirects(response, f"/accounts/login/?next={address}")

    def test_a_foreign_run_is_404_on_every_page(self):
        run = make_run(self.alice)
        client = self.as_(self.bob)
        base = f"/runs/{run.public_id}/"
        answers = [client.get(base), client.get(f"/?from={run.public_id}"),
                   client.get(f"{base}results/1/")]  # fmt: skip
        answers += [client.post(f"{base}{act}/") for act in ("cancel", "again", "delete")]

        self.assertEqual([answer.status_code for answer in answers], [404] * 6)
        self.assertNotContains(client.get("/runs/"), run.public_id)

    def test_an_auditor_looks_and_acts_on_nothing(self):
        run = make_run(self.alice, Status.RUNNING, stdin=True)
        page = self.page(run, self.auditor)

        self.assertContains(page, "echo hi")
        for control in ("data-cancel", "Run it again", "data-delete", "data-stdin"):
            self.assertNotContains(page, control)
        for act in ("cancel", "again", "delete"):
            answer = self.client.post(f"/runs/{run.public_id}/{act}/")
            self.assertContains(answer, "Ask its owner", status_code=403)

    def test_the_owner_has_the_controls(self):
        page = self.page(make_run(self.alice, Status.RUNNING, stdin=True))

        for control in ("data-cancel", "Run it again", "data-stdin"):
            self.assertContains(page, control)

    def test_every_page_has_a_strict_policy(self):
        for address in ("/accounts/login/", "/", "/runs/", "/nowhere/"):
            policy = self.as_(self.alice).get(address)["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("unsafe", policy)

    def test_a_forged_form_is_refused_in_words(self):
        self.client.handler.enforce_csrf_checks = True
        answer = self.as_(self.alice).post("/", {"kind": "command", "program": "true"})

        self.assertContains(answer, "reload the page and send it again", status_code=403)
        self.assertFalse(Run.objects.exists())


class LaunchTests(PageTestCase):
    def launch(self, **fields):
        return self.as_(self.alice).post("/", {"kind": "command", "timeout": "", **fields})

    def test_a_launch_leads_to_the_run(self):
        response = self.launch(program="echo one\r\necho two", timeout="2.5", title="Two lines")

        run = Run.objects.get()
        self.assertRedirects(response, f"/runs/{run.public_id}/")
        self.assertEqual(run.program, "echo one\necho two")
        self.assertEqual((run.timeout, run.title, run.owner), (2.5, "Two lines", self.alice))

    def test_parallel_takes_the_tasks_that_are_not_empty(self):
        self.launch(kind="parallel", task=["echo a", "", "echo b"], program="left over")

        self.assertEqual(Run.objects.get().program, ["echo a", "echo b"])

    def test_the_environment_is_kept_sealed(self):
        self.launch(program="env", env_name=["TOKEN", ""], env_value=["s3cret-value", ""])

        run = Run.objects.get()
        self.assertEqual(run.env_names, ["TOKEN"])
        self.assertEqual(run.to_launch().env, {"TOKEN": "s3cret-value"})
        self.assertNotContains(self.page(run), "s3cret-value")

    def test_errors_stand_at_their_fields_and_what_was_typed_stays(self):
        response = self.launch(
            program="", timeout="soon", title="My title", cwd="/srv",
            env_name=["A", ""], env_value=["the first", "the second"],
        )  # fmt: skip

        for text in ("The program is empty", "must be a number of seconds", "has no name",
                     "My title", "/srv", "soon"):  # fmt: skip
            self.assertContains(response, text, status_code=422)
        self.assertIn("no-store", response["Cache-Control"])
        self.assertFalse(Run.objects.exists())

    def test_bad_requests_are_answered_in_sentences(self):
        for fields in (
            {"kind": "nonsense", "program": "x"},
            {"kind": "agent", "program": "x"},
            {"kind": "python", "mode": "odd", "program": "x"},
            {"kind": "parallel"},
            {"kind": "command", "program": "a\0b"},
            {"program": "x", "timeout": "nan"},
            {"program": "x", "timeout": "-1"},
            {"program": "x", "env_name": "1A", "env_value": "any value"},
            {"program": "x", "title": "t" * 1000},
        ):
            with self.subTest(fields):
                response = self.launch(**fields)
                self.assertContains(response, 'class="problem"', status_code=422)

    def test_without_a_script_a_button_adds_a_task(self):
        response = self.launch(kind="parallel", task=["a", "b"], more="task")

        self.assertContains(response, 'aria-label="Task 3"')
        self.assertFalse(Run.objects.exists())

    def test_what_can_not_be_launched_says_why(self):
        self.assertContains(self.as_(self.alice).get("/"), "Agent runs are not configured")

    def test_every_example_launches_as_it_is(self):
        for name, example in examples().items():
            with self.subTest(name):
                check_configured(parse_spec(example.spec()))
                response = self.as_(self.alice).post("/", {"example": name})
                run = Run.objects.latest("pk")
                self.assertRedirects(response, f"/runs/{run.public_id}/")
                self.assertEqual(run.program, example.program)

    def test_edit_and_run_fills_the_form_without_secrets(self):
        run = make_run(
            self.alice, program="echo edited", env={"KEY": "s3cret-value"}, timeout=7, cwd="/tmp"
        )
        response = self.as_(self.alice).get(f"/?from={run.public_id}")

        for text in ("echo edited", 'value="KEY"', 'value="7"', 'value="/tmp"'):
            self.assertContains(response, text)
        self.assertNotContains(response, "s3cret-value")

    def test_run_again_asks_for_values_that_are_gone(self):
        run = make_run(self.alice, env={"KEY": "s3cret-value"})
        response = self.as_(self.alice).post(f"/runs/{run.public_id}/again/", follow=True)

        self.assertContains(response, "Type KEY again and launch.")
        self.assertEqual(Run.objects.count(), 1)

    def test_run_again(self):
        run = make_run(self.alice)
        self.as_(self.alice).post(f"/runs/{run.public_id}/again/")

        again = Run.objects.latest("pk")
        self.assertEqual((again.rerun_of, again.program), (run, "echo hi"))


class RunPageTests(PageTestCase):
    def test_a_succeeded_run_opens_at_its_start_with_links_onward(self):
        run = make_run(self.alice, chunks=[("stdout", f"line {n}\n") for n in range(5000)])
        page = self.page(run)
        self.assertContains(page, "line 0<")
        self.assertContains(page, f'data-cursor="{window.LINES}"')

        onward = self.page(run, query=f"?after={window.LINES}")
        self.assertContains(onward, f">line {window.LINES}<")
        self.assertContains(onward, f'href="?before={window.LINES + 1}"')

    def test_the_pages_without_a_script_hold_every_line_once(self):
        for chunks in (
            [("stdout", f"line {n}\n") for n in range(4500)],
            [("stdout", "".join(f"l{n}-{m}\n" for m in range(900))) for n in range(7)],
        ):
            run = make_run(self.alice, chunks=chunks)
            seen, after = [], 0
            while True:
                shown = window.window_of(run, after=after)
                seen += [line.text for line in shown.lines]
                after = shown.last
                if not shown.later:
                    break
            self.assertEqual("\n".join([*seen, ""]), "".join(text for _, text in chunks))

    def test_a_failed_run_opens_at_its_end(self):
        chunks = [("stdout", f"line {n}\n") for n in range(5000)]
        page = self.page(make_run(self.alice, Status.FAILED, chunks))

        self.assertContains(page, ">line 4999<")
        self.assertNotContains(page, ">line 0<")
        self.assertContains(page, 'data-cursor="5000"')

    def test_a_page_is_bounded_whatever_was_printed(self):
        big = make_run(self.alice, chunks=[("stdout", "x" * 200_000 + "\n")] * 100)
        many = make_run(self.alice, chunks=[("stdout", "\n" * 1500)] * 100)

        self.assertLess(len(self.page(big).content), 400_000)
        self.assertLess(len(self.page(many).content), 2_000_000)

    def test_output_is_never_markup(self):
        evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
        run = make_run(self.alice, title=evil[:100], program=evil, chunks=[
            ("stdout", evil + "\n"),
            ("event", "{}\n", {"type": evil, "data": {evil: evil}}),
            ("result", evil, {"text/plain": evil, "application/json": {"a": evil}}),
            ("result", evil, {"text/html": evil, "image/png": '"><script>alert(1)</script>'}),
            ("error", evil, {"name": evil, "value": evil, "traceback": [evil]}),
            ("stdout", evil),
        ])  # fmt: skip
        page = self.page(run).content.decode()

        self.assertNotIn("<script>", page)
        self.assertNotIn("<img src=x", page)

    def test_html_of_a_result_is_framed(self):
        html = {"text/html": "<b>bold</b><script>alert(1)</script>"}
        run = make_run(self.alice, chunks=[("result", "x", html)])
        address = f"/runs/{run.public_id}/results/1/"
        self.assertContains(
            self.page(run), f'sandbox="" title="HTML from the program" src="{address}"'
        )

    def test_the_chunks_of_the_window_come_along_as_they_are(self):
        page = self.page(make_run(self.alice, Status.RUNNING, [("stdout", "10%\r</script>&")]))
        sent = re.search(rb'id="chunks-json">(.*?)</script>', page.content)[1]

        self.assertEqual([chunk["text"] for chunk in json.loads(sent)], ["10%\r</script>&"])

    def test_nonsense_in_the_address_shows_the_run(self):
        run = make_run(self.alice, chunks=[("stdout", "here\n")])
        for query in ("?after=x", "?after=-1", "?before=%C2%B2", "?after=" + "9" * 30):
            self.assertContains(self.page(run, query=query), "here")
        self.assertEqual(self.page(run, query="?after=" + "9" * 18).status_code, 200)

    def test_cancel_and_delete(self):
        run = make_run(self.alice, Status.QUEUED)
        client = self.as_(self.alice)
        self.assertContains(
            client.post(f"/runs/{run.public_id}/delete/", follow=True), "Cancel it, then delete it."
        )
        client.post(f"/runs/{run.public_id}/cancel/")
        run.refresh_from_db()
        self.assertEqual(run.status, Status.CANCELLED)
        self.assertContains(
            client.post(f"/runs/{run.public_id}/cancel/", follow=True), "nothing to cancel"
        )
        self.assertContains(
            client.post(f"/runs/{run.public_id}/delete/", follow=True), "are deleted"
        )
        self.assertFalse(Run.objects.exists())


class ListTests(PageTestCase):
    def listed(self, query="", user=None):
        response = self.as_(user or self.alice).get(f"/runs/{query}")
        return response, [run.title for run in response.context["runs"]]

    def test_an_empty_list_says_what_to_do(self):
        self.assertContains(self.listed()[0], "Launch a program</a>, or one of the ready-made")

    def test_filters(self):
        make_run(self.alice, title="One", program="echo needle")
        make_run(self.alice, Status.FAILED, title="Two", kind="python", program="1/0")
        make_run(self.bob, title="Bob's")

        self.assertEqual(self.listed()[1], ["Two", "One"])
        self.assertEqual(self.listed("?status=failed")[1], ["Two"])
        self.assertEqual(self.listed("?status=active")[1], [])
        self.assertEqual(self.listed("?kind=command")[1], ["One"])
        self.assertEqual(self.listed("?q=needle")[1], ["One"])
        self.assertEqual(self.listed("?created_before=2001-01-01")[1], [])
        self.assertEqual(self.listed("?created_after=2001-01-01")[1], ["Two", "One"])
        self.assertEqual(self.listed("?owner=bob", self.auditor)[1], ["Bob's"])
        self.assertEqual(self.listed("?owner=bob", self.alice)[1], [])

    def test_wrong_filters_are_answered_in_a_sentence(self):
        for query in ("?status=odd", "?kind=x", "?created_after=2025-02-31", "?cursor=x",
                      "?q=%00", "?created_before=9999-12-31"):  # fmt: skip
            with self.subTest(query):
                response, _ = self.listed(query)
                self.assertContains(response, 'class="problem"', status_code=400)

    def test_pages_hold_every_run_once(self):
        for n in range(120):
            make_run(self.alice, title=f"Run {n}")
        query, titles = "", []
        while query is not None:
            response, page = self.listed(query)
            titles += page
            query = (
                response.context["next_query"] and "?" + response.context["next_query"]
            ) or None

        self.assertEqual(titles, [f"Run {n}" for n in reversed(range(120))])


class AccountTests(PageTestCase):
    def test_a_token_is_shown_once_and_works_until_revoked(self):
        made = self.as_(self.alice).post("/account/tokens/", {"name": "nightly"})
        secret = made.context["secret"]
        token = ApiToken.objects.get()
        self.assertContains(made, secret)
        self.assertIn("no-store", made["Cache-Control"])
        self.assertNotContains(self.client.get("/account/"), secret)
        self.assertEqual(ApiToken.objects.usable(secret), token)

        self.client.post(f"/account/tokens/{token.pk}/revoke/")
        self.assertIsNone(ApiToken.objects.usable(secret))

    def test_a_token_needs_a_name(self):
        for name in ("", "  ", "x" * 81, "a\0"):
            answer = self.as_(self.alice).post("/account/tokens/", {"name": name})
            self.assertContains(answer, 'class="problem"', status_code=400)

    def test_nobody_revokes_a_foreign_token(self):
        token, secret = ApiToken.objects.make(self.alice, "mine")
        answer = self.as_(self.bob).post(f"/account/tokens/{token.pk}/revoke/")

        self.assertEqual(answer.status_code, 404)
        self.assertIsNotNone(ApiToken.objects.usable(secret))

    def test_login_password_change_and_logout(self):
        self.alice.set_password("a good passphrase")
        self.alice.save()
        login = {"username": "alice", "password": "wrong"}
        self.assertContains(self.client.post("/accounts/login/", login), "do not belong together")
        login["password"] = "a good passphrase"
        self.assertRedirects(self.client.post("/accounts/login/", login), "/")
        changed = self.client.post("/account/password/", {
            "old_password": "a good passphrase",
            "new_password1": "another passphrase", "new_password2": "another passphrase",
        }, follow=True)  # fmt: skip
        self.assertContains(changed, "Your password is changed.")
        self.assertRedirects(self.client.post("/accounts/logout/"), "/accounts/login/")
