"""How PostgreSQL answers what is asked all the time: by an index, in its order.

The table is small, so scans are forbidden to the planner: it shows what it could do.
STREAMSITE_TEST_DATABASE=postgresql makes the tests run on it.
"""

import re
from unittest import skipUnless

from django.db import connection
from django.test import TestCase

from runs.models import Chunk, Run, Status, standings_of
from runs.streaming import feed, follow, marks, outline, reading, recorder, searching, storing
from runs.streaming.storing import Work
from runs.web import listing, metrics, run_list
from runs.web.search import PAGE, search_for, search_output
from tests.factories import make_run
from tests.people import make_people

CHUNKS = [
    {"text": f"line {n}\n", "stream": "event" if n % 50 == 0 else "stdout"} for n in range(500)
]
QUEUE = "run_queue_and_held"


@skipUnless(connection.vendor == "postgresql", "plans of PostgreSQL")
class PlanTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.people = make_people()
        # What people look for is rare among what others launched long ago.
        old = {"kind": "command", "program": "true", "status": Status.SUCCEEDED}
        owner = cls.people.root
        Run.objects.bulk_create(Run(owner=owner, owner_name="root", **old) for _ in range(2_000))
        cls.run_ = make_run(cls.people.alice, chunks=CHUNKS)
        cls.held = make_run(cls.people.bob, Status.RUNNING, executor="us", epoch=1)
        make_run(cls.people.bob, Status.QUEUED)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE runs_run, runs_chunk")

    def statements_of(self, function, *arguments) -> list[tuple]:
        said = []

        def note(execute, sql, params, many, context):
            said.append((sql, params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            function(*arguments)
        return said

    def plans_of(self, function, *arguments) -> list[str]:
        """The plan of each statement on our tables that a call makes."""
        said = self.statements_of(function, *arguments)
        return [self.plan(*statement) for statement in said if "runs_" in statement[0]]

    def plan(self, sql: str, params) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute(f"EXPLAIN {sql}", params)
            return "\n".join(line for (line,) in cursor.fetchall())

    def assert_by_index(self, index: str, function, *arguments, sorts=False) -> None:
        plans = self.plans_of(function, *arguments)
        self.assertTrue(plans)
        for plan in plans:
            self.assertNotIn("Seq Scan", plan)
            if not sorts:
                self.assertNotIn("Sort", plan)
        used = {name for plan in plans for name in re.findall(r"using (\w+) on runs_", plan)}
        self.assertIn(index, used)

    def test_ranges_of_a_log_come_by_its_key_and_in_its_order(self):
        run, key = self.run_, "runs_chunk_pkey"
        self.assert_by_index(key, reading.rows_after, run.pk, 100, 50)
        self.assert_by_index(key, reading.rows_after, run.pk, 100, 50, 300)
        self.assert_by_index(key, reading.rows_before, run.pk, 400, 50)
        self.assert_by_index(key, reading.seq_before_line, run, 250)
        self.assert_by_index(key, reading.seq_at, run, 20)
        self.assert_by_index(key, outline.outline, run, 10)
        self.assert_by_index(key, recorder._last_t, run.pk)
        search = search_for("line 499")
        self.assert_by_index(key, searching.search_after, run.pk, 100, search, 5)
        self.assert_by_index(key, searching.search_before, run.pk, 500, search, 5)

    def test_what_is_rare_in_a_log_comes_by_an_index_of_its_own(self):
        run, index = self.run_, "chunk_marks_of_run"
        self.assert_by_index(index, marks.marks_after, run.pk, 100, 50)
        self.assert_by_index(index, lambda: reading.rows_after(run.pk, 0, 50, streams={"v"}))
        self.assert_by_index(index, lambda: reading.rows_before(run.pk, 500, 50, streams={"v"}))

    def test_what_is_asked_each_second_looks_at_active_runs_only(self):
        runs = Run.objects
        self.assert_by_index(QUEUE, runs.expired, "others", sorts=True)
        self.assert_by_index(QUEUE, runs.cancels_asked_of, "us")
        self.assert_by_index(QUEUE, runs.renew, "us", 6, sorts=True)
        self.assert_by_index(QUEUE, runs.claim_next, "us", 6, {}, 90, sorts=True)
        self.assert_by_index(QUEUE, metrics.active_counts, sorts=True)
        self.assert_by_index("runs_run_pkey", feed._states, [self.run_.pk])
        self.assert_by_index("runs_run_pkey", follow._state, self.run_.pk)

    def test_a_store_finds_the_rows_of_its_runs_by_their_keys(self):
        rows = [(1, 0, 0, "o", 0, "x\n", None)]
        work = Work(self.held.pk, 1, 0, rows, 2, "x")
        # A cursor of psycopg's own: Django sees no statement.
        plan = self.plan(storing._STORE_FEW, storing._given([work]))
        self.assertIn("using runs_run_pkey", plan)
        self.assertNotIn("Seq Scan", plan)
        self.assertEqual(storing.store([work]), set())
        self.assertEqual(Chunk.objects.of(self.held.pk).count(), 1)

    def test_a_store_of_few_rows_is_planned_once(self):
        work = Work(self.held.pk, 1, 0, [(1, 0, 0, "o", 0, "x\n", None)], 2, "x")
        storing.store([work])
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements")
            (statement,) = cursor.fetchone()
        self.assertIn("INSERT INTO runs_chunk", statement)

    def test_a_store_leaves_a_runs_row_on_its_page(self):
        # So that none of the table's indexes has to learn of a new place.
        Run.objects.bulk_create(
            Run(owner=self.people.root, owner_name="root", kind="command", program="true",
                status=Status.RUNNING, epoch=1)
            for _ in range(50)
        )  # fmt: skip
        runs = list(Run.objects.filter(status=Status.RUNNING, epoch=1, executor=""))
        pages = self.pages_of(runs)
        for run in runs:
            storing.store([Work(run.pk, 1, 0, [(1, 0, 0, "o", 0, "x\n", None)], 2, "x")])
        self.assertEqual(self.pages_of(runs), pages)

    def pages_of(self, runs: list[Run]) -> dict[int, int]:
        pks = [run.pk for run in runs]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, (ctid::text::point)[0]::int FROM runs_run WHERE id = ANY(%s)", [pks]
            )
            return dict(cursor.fetchall())

    def test_what_limits_look_at_is_summed_up_by_indexes(self):
        for name in (QUEUE, "usage_of_owner"):
            # Who has launched a lot, long ago.
            self.assert_by_index(name, standings_of, self.people.root, Run.objects)
        self.assert_by_index(QUEUE, Run.objects.count_output, "us", sorts=True)

    def test_a_page_of_the_list_comes_in_its_order(self):
        alice, auditor = self.people.alice, self.people.auditor
        of_alice, of_all = (Run.objects.visible_to(user) for user in (alice, auditor))
        self.assert_by_index("run_list_of_owner", listing.page_of, of_alice, 5)
        self.assert_by_index("runs_run_pkey", listing.page_of, of_all, 5)
        self.assert_by_index("runs_run_pkey", run_list._newest, auditor)

    def test_a_search_of_all_output_reads_its_runs_a_page_at_a_time(self):
        # All of them at once are as much as the table, before the first is looked through.
        runs, search = Run.objects.visible_to(self.people.auditor), search_for("not there")
        said = [sql for sql, _ in self.statements_of(search_output, runs, search, 20, 10.0)]
        of_runs = [sql for sql in said if 'FROM "runs_run"' in sql]
        self.assertTrue(of_runs)
        for sql in of_runs:
            self.assertTrue(sql.endswith(f"LIMIT {PAGE}"), sql)
