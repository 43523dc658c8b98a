import json
import re
from importlib import import_module
from unittest import skipUnless
from unittest.mock import patch
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from runs import signing
from runs.access import Action, note
from runs.admin import runs as run_admin
from runs.models import ApiToken, Chunk, Run, Status
from runs.streaming import database
from runs.streaming.chain import beginning, values_after
from runs.streaming.reading import rows_after
from runs.streaming.wire import chunk_json
from tests.factories import make_run
from tests.people import auditors_group, make_user

auditors = import_module("runs.migrations.0002_auditors")
# Looking for every static file before each test would take longer than the tests.
quick = override_settings(WHITENOISE_AUTOREFRESH=True)


def make_auditor():
    auditor = make_user("auditor")
    auditor.groups.add(auditors_group())
    return auditor


def make_root():
    return make_user("root", is_staff=True, is_superuser=True)


def make_queued_run(owner, chunks=(), **fields) -> Run:
    return make_run(owner, Status.QUEUED, chunks, **fields)


def url(page, *args, query=""):
    return reverse(f"admin:{page}", args=args) + query


RUNS, CHUNKS, TOKENS = (
    f"runs_{model}_changelist" for model in ("run", "chunk", "apitoken")
)  # fmt: skip


@quick
class EntranceTests(TestCase):
    def test_an_auditor_who_is_not_staff_sees_runs_and_chunks_and_nothing_else(self):
        self.client.force_login(make_auditor())
        page = self.client.get(url("index"))
        [app] = page.context["app_list"]
        self.assertEqual(
            sorted(model["object_name"] for model in app["models"]),
            [
                "AccessEvent",
                "Chunk",
                "Deletion",
                "Delivery",
                "Hold",
                "Limit",
                "RetentionRule",
                "Run",
                "SavedSecret",
                "Share",
            ],
        )
        self.assertEqual(self.client.get(url(RUNS)).status_code, 200)
        self.assertEqual(self.client.get(url(CHUNKS)).status_code, 200)
        self.assertEqual(self.client.get(url(TOKENS)).status_code, 403)
        self.assertEqual(self.client.get(url("auth_user_changelist")).status_code, 403)

    def test_others_are_refused_with_a_sentence_and_strangers_sent_to_the_login(self):
        page = self.client.get(url(RUNS), follow=True)
        self.assertEqual(page.redirect_chain[-1][0], f"/accounts/login/?next={url(RUNS)}")
        self.client.force_login(make_user("alice"))
        page = self.client.get(url(RUNS), follow=True)
        self.assertContains(page, "Ask an administrator", status_code=403)

    def test_an_auditor_who_is_deactivated_is_out(self):
        auditor = make_auditor()
        self.client.force_login(auditor)
        self.assertEqual(self.client.get(url("index")).status_code, 200)
        get_user_model().objects.filter(pk=auditor.pk).update(is_active=False)
        self.assertEqual(self.client.get(url("index")).status_code, 302)

    def test_staff_without_the_permission_sees_no_run(self):
        self.client.force_login(make_user("clerk", is_staff=True))
        self.assertEqual(self.client.get(url("index")).status_code, 200)
        self.assertEqual(self.client.get(url(RUNS)).status_code, 403)

    def test_a_visitor_who_may_enter_is_not_asked_to_log_in_again(self):
        self.client.force_login(make_auditor())
        self.assertRedirects(self.client.get(url("login")), url("index"))


class GroupTests(TestCase):
    def test_auditors_may_view_runs_and_chunks_however_often_the_group_is_made(self):
        auditors_group()
        group = auditors_group()
        names = sorted(p.codename for p in group.permissions.all())
        models = [
            "accessevent",
            "chunk",
            "deletion",
            "delivery",
            "hold",
            "limit",
            "retentionrule",
            "run",
            "savedsecret",
            "share",
        ]
        self.assertEqual(names, [f"view_{model}" for model in models])
        self.assertEqual(Permission.objects.filter(codename="view_run").count(), 1)
        auditors.delete_group(apps, None)
        self.assertFalse(Group.objects.filter(name="Auditors").exists())
        self.assertEqual(Permission.objects.filter(codename="view_run").count(), 1)


@quick
class RunAdminTests(TestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.auditor = make_auditor()
        self.root = make_root()

    def listed(self, query, user=None):
        self.client.force_login(user or self.auditor)
        page = self.client.get(url(RUNS, query=query))
        self.assertEqual(page.status_code, 200)
        return [run.title for run in page.context["cl"].result_list]

    def test_nobody_adds_changes_or_deletes(self):
        run = make_queued_run(self.alice, ["hello\n"])
        chunk = run.chunk_set.get()
        for person in (self.auditor, self.root):
            self.client.force_login(person)
            for model, pk in (("run", run.pk), ("chunk", chunk.pk)):
                page = self.client.get(url(f"runs_{model}_change", pk))
                self.assertEqual(page.status_code, 200)
                self.assertNotContains(page, 'type="submit" value="Save"')
                for refused in (
                    self.client.get(url(f"runs_{model}_add")),
                    self.client.post(url(f"runs_{model}_change", pk), {"title": "forged"}),
                    self.client.post(url(f"runs_{model}_delete", pk), {"post": "yes"}),
                ):
                    self.assertEqual(refused.status_code, 403)
        self.assertEqual(Run.objects.get().title, run.title)

    def test_search_finds_title_owner_id_and_what_the_program_says(self):
        one = make_queued_run(self.alice, title="one", program='grep "größer" x\necho \\n')
        make_queued_run(make_user("bob"), title="two")
        for term in ("ONE", "alice", one.public_id, "größer", '"gr', "\\n", "grep one"):
            with self.subTest(term):
                self.assertEqual(self.listed("?" + urlencode({"q": term})), ["one"])
        self.assertEqual(self.listed("?q=nowhere"), [])

    def test_filters_and_dates_narrow_the_list(self):
        make_queued_run(self.alice, title="old")
        Run.objects.update(created_at="2024-02-03T00:00Z", status="failed", stalled=True)
        make_queued_run(self.alice, title="new", kind="python")
        self.assertEqual(self.listed("?status__exact=failed"), ["old"])
        self.assertEqual(self.listed("?kind__exact=python"), ["new"])
        self.assertEqual(self.listed("?stalled__exact=1"), ["old"])
        self.assertEqual(self.listed("?created_at__year=2024&created_at__month=2"), ["old"])

    def test_a_run_shows_its_program_and_names_but_never_a_sealed_value(self):
        run = make_queued_run(
            self.alice, ["x"], program="echo '<b>hi</b>'", env={"API_KEY": "hunter2-value"}
        )
        self.client.force_login(self.root)
        page = self.client.get(url("runs_run_change", run.pk))
        self.assertContains(page, "echo &#x27;&lt;b&gt;hi&lt;/b&gt;&#x27;")
        self.assertContains(page, "API_KEY")
        self.assertContains(page, f'href="/runs/{run.public_id}/"')
        self.assertContains(page, url(CHUNKS, query=f"?run__id__exact={run.pk}"))
        for name in ("ndjson", "json", "txt", "cast", "csv"):
            self.assertContains(page, f'href="/api/runs/{run.public_id}/export.{name}"')
        self.assertNotContains(page, run.env_sealed)
        self.assertNotContains(page, "hunter2-value")

    def test_the_tasks_of_a_parallel_run_are_shown_apart(self):
        run = make_queued_run(self.alice, kind="parallel", program=["echo 1", "echo 2"])
        self.client.force_login(self.auditor)
        page = self.client.get(url("runs_run_change", run.pk))
        self.assertContains(page, '<pre class="program">', 2)

    def test_the_list_reads_no_programs_and_asks_a_fixed_number_of_questions(self):
        for number in range(3):
            make_queued_run(self.alice, title=f"run {number}")
        self.client.force_login(self.auditor)
        with CaptureQueriesContext(connection) as few:
            self.client.get(url(RUNS))
        for number in range(20):
            make_queued_run(self.alice, title=f"more {number}")
        with self.assertNumQueries(len(few)), CaptureQueriesContext(connection) as more:
            self.client.get(url(RUNS))
        columns = [q["sql"] for q in more if '"runs_run"."title"' in q["sql"]]
        self.assertFalse([sql for sql in columns if '."program"' in sql or "sealed" in sql])

    def test_the_runs_of_a_deleted_user_stay_with_the_name(self):
        run = make_queued_run(self.alice, ["x"], title="left behind")
        ApiToken.objects.make(self.alice, "laptop")
        self.client.force_login(self.root)
        gone = self.client.post(url("auth_user_delete", self.alice.pk), {"post": "yes"})
        self.assertRedirects(gone, url("auth_user_changelist"))
        self.assertFalse(get_user_model().objects.filter(username="alice").exists())

        run.refresh_from_db()
        self.assertEqual((run.owner, run.owner_name), (None, "alice"))
        self.assertEqual(self.listed("?q=alice"), ["left behind"])
        page = self.client.get(url(RUNS, query="?status__exact=queued"))
        self.assertContains(page, "alice (account deleted)")
        self.assertIn(run, Run.objects.visible_to(self.auditor))
        self.assertNotIn(run, Run.objects.visible_to(make_user("bob")))
        # A new account of the same name is somebody else.
        self.assertNotIn(run, Run.objects.visible_to(make_user("alice")))

    def test_only_superusers_cancel(self):
        runs = [make_queued_run(self.alice, title=str(number)) for number in range(3)]
        form = {"action": "cancel_selected", "_selected_action": [run.pk for run in runs]}
        with patch("runs.execution.dispatch.cancel", side_effect=[True, True, False]) as cancel:
            self.client.force_login(self.auditor)
            self.assertNotContains(self.client.get(url(RUNS)), "cancel_selected")
            self.client.post(url(RUNS), form)
            cancel.assert_not_called()
            self.client.force_login(self.root)
            self.assertContains(self.client.get(url(RUNS)), "cancel_selected")
            page = self.client.post(url(RUNS), form, follow=True)
        self.assertEqual(cancel.call_count, 3)
        self.assertContains(page, "Cancelled 2 runs. 1 run had already ended.")

    def test_auditors_verify_and_are_led_to_who_did_what(self):
        intact = make_run(self.alice, Status.SUCCEEDED, chunks=["one\n"])
        lines = [chunk_json(row) for row in rows_after(intact.pk, 0, 10)]
        head = values_after(beginning(intact.public_id), lines)[-1].hex()
        Run.objects.filter(pk=intact.pk).update(chain=head)
        intact.refresh_from_db()
        Run.objects.filter(pk=intact.pk).update(signature=signing.sign(intact.statement()))
        changed = make_run(self.alice, Status.SUCCEEDED, chunks=["two\n"], chain="0" * 64)
        note(Action.EXPORT, self.alice, "127.0.0.1", intact, format="csv")
        self.client.force_login(self.auditor)
        chosen = [intact.pk, changed.pk]
        what = {"action": "verify_selected", "_selected_action": chosen}
        page = self.client.post(url(RUNS), what, follow=True)
        self.assertContains(page, f"{intact}: Complete and unchanged.")
        self.assertContains(page, f"{changed}: The chunks are not those that were recorded.")
        page = self.client.get(url("runs_run_change", intact.pk))
        self.assertContains(page, "Complete and unchanged.")
        found = re.search(r'href="([^"]*accessevent[^"]*)">(\d+) event', page.text)
        events = self.client.get(found[1])
        self.assertContains(events, "Exported")
        self.assertEqual(len(events.context["cl"].result_list), int(found[2]))
        with patch.object(run_admin, "VERIFY_SECONDS", 0):
            page = self.client.post(url(RUNS), what, follow=True)
        self.assertContains(page, "2 runs not looked at: it took too long.")

    def test_pages_need_no_inline_script_or_style(self):
        run = make_queued_run(self.alice, ["hello\n"])
        token, _ = ApiToken.objects.make(self.alice, "laptop")
        self.client.force_login(self.root)
        for page in (
            url("index"), url(RUNS), url(CHUNKS, query=f"?run__id__exact={run.pk}"), url(TOKENS),
            url("runs_run_change", run.pk), url("runs_chunk_change", run.chunk_set.get().pk),
            url("runs_apitoken_change", token.pk), url("auth_user_add"),
        ):  # fmt: skip
            with self.subTest(page):
                html = self.client.get(page).content.decode()
                self.assertFalse(re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", html))
                self.assertFalse(re.findall(r"<style|<[^>]+\s(?:style|on\w+)=", html))


@quick
class ChunkAdminTests(TestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.client.force_login(make_auditor())

    def rows(self, page):
        self.assertEqual(page.status_code, 200)
        return [chunk.text_begins for chunk in page.context["cl"].result_list]

    def test_a_runs_chunks_come_in_order_page_after_page(self):
        run = make_queued_run(self.alice, [f"line {n}\n" for n in range(250)])
        make_queued_run(self.alice, ["another run's\n"])
        here, seen, pages = f"?run__id__exact={run.pk}", [], 0
        while here:
            page = self.client.get(url(CHUNKS, query=here))
            seen += self.rows(page)
            here, pages = page.context["cl"].next_page, pages + 1
        self.assertEqual(seen, [f"line {n}\n" for n in range(250)])
        self.assertEqual(pages, 3)
        self.assertContains(page, f'<a href="?run__id__exact={run.pk}">First page</a>', html=True)

    def test_without_a_run_the_newest_come_first(self):
        make_queued_run(self.alice, [str(n) for n in range(120)])
        page = self.client.get(url(CHUNKS))
        self.assertEqual(self.rows(page), [str(n) for n in range(119, 19, -1)])
        page = self.client.get(url(CHUNKS, query=page.context["cl"].next_page))
        self.assertEqual(self.rows(page), [str(n) for n in range(19, -1, -1)])

    def test_a_reader_may_begin_at_any_seq(self):
        run = make_queued_run(self.alice, [str(n) for n in range(1, 30)])
        page = self.client.get(url(CHUNKS, query=f"?run__id__exact={run.pk}&seq__gte=28"))
        self.assertEqual(self.rows(page), ["28", "29"])

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's plan")
    def test_no_page_counts_sorts_or_scans(self):
        run = make_queued_run(self.alice, ["x"] * 300)
        for query in ("", "?id__lt=200", f"?run__id__exact={run.pk}&seq__gt=150"):
            # Session, user, two for permissions, chunks, their runs, the run above the list.
            with self.subTest(query), CaptureQueriesContext(connection) as asked:
                self.client.get(url(CHUNKS, query=query))
            self.assertLessEqual(len(asked), 7)
            self.assertFalse([q["sql"] for q in asked if "COUNT(" in q["sql"]])
            [chunks] = [q["sql"] for q in asked if 'FROM "runs_chunk"' in q["sql"]]
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {chunks}")
                plan = "; ".join(row[3] for row in cursor.fetchall())
            self.assertNotIn("TEMP B-TREE", plan)
            self.assertNotIn("JOIN", chunks)
            self.assertNotIn('"runs_chunk"."text", "', chunks)
            if query:
                self.assertIn("SEARCH runs_chunk", plan)

    def test_lookups_that_no_index_serves_are_refused(self):
        for query in ("?text__icontains=x", "?stream__exact=o", "?run__title__icontains=x"):
            with self.subTest(query), self.assertLogs("django.security", "ERROR"):
                self.assertEqual(self.client.get(url(CHUNKS, query=query)).status_code, 400)

    def test_a_bad_cursor_leads_back_to_the_list(self):
        page = self.client.get(url(CHUNKS, query="?id__lt=soon"))
        self.assertRedirects(page, url(CHUNKS, query="?e=1"))

    def test_a_long_text_is_shown_whole_on_its_own_page_only(self):
        run = make_queued_run(self.alice, ["<i>" + "y" * 5000])
        Chunk.objects.update(data=json.dumps({"type": "progress", "data": {"percent": 5}}))
        page = self.client.get(url(CHUNKS, query=f"?run__id__exact={run.pk}"))
        self.assertNotContains(page, "y" * 200)
        page = self.client.get(url("runs_chunk_change", run.chunk_set.get().pk))
        self.assertContains(page, "&lt;i&gt;" + "y" * 5000)
        self.assertContains(page, "&quot;percent&quot;: 5")


@quick
class TokenAdminTests(TestCase):
    def test_superusers_revoke_and_nobody_sees_a_digest(self):
        alice = make_user("alice")
        token, secret = ApiToken.objects.make(alice, "laptop")
        self.client.force_login(make_root())
        for page in (url(TOKENS), url("runs_apitoken_change", token.pk)):
            page = self.client.get(page)
            self.assertContains(page, token.hint)
            self.assertNotContains(page, token.digest)
        self.assertIsNotNone(ApiToken.objects.usable(secret))
        refused = self.client.post(url("runs_apitoken_delete", token.pk), {"post": "yes"})
        self.assertEqual(refused.status_code, 403)
        form = {"action": "revoke_selected", "_selected_action": [token.pk]}
        page = self.client.post(url(TOKENS), form, follow=True)
        self.assertContains(page, "Revoked 1 token.")
        self.assertIsNone(ApiToken.objects.usable(secret))
        token.refresh_from_db()
        self.assertLessEqual(token.revoked_at, timezone.now())


@quick
class ExportTests(TransactionTestCase):
    def tearDown(self):
        database.close_connections()

    async def test_selected_runs_are_one_stream_of_ndjson(self):
        auditor, runs = await database.write(self.make_runs)
        await self.async_client.aforce_login(auditor)
        form = {"action": "export_selected", "_selected_action": [run.pk for run in runs[:2]]}
        answer = await self.async_client.post(url(RUNS), form)
        self.assertIn("runs.ndjson", answer.headers["Content-Disposition"])
        body = b"".join([piece async for piece in answer.streaming_content])
        lines = [json.loads(line) for line in body.splitlines()]
        told = [line.get("text") or line["title"] for line in lines]
        self.assertEqual(told, ["one", "a", "b", "two", "c"])

    def make_runs(self):
        alice = make_user("alice")
        runs = [
            make_queued_run(alice, ["a", "b"], title="one"),
            make_queued_run(alice, ["c"], title="two"),
            make_queued_run(alice, ["d"], title="not selected"),
        ]
        return make_auditor(), runs
