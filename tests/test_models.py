"""Queries that come every second find their runs by an index, however many are over."""

from unittest import skipUnless

from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce
from django.test import TestCase

from runs.models import ACTIVE, IS_ACTIVE, Run, Status
from tests.factories import make_run
from tests.people import make_user


class ActiveTests(TestCase):
    def setUp(self):
        owner = make_user("ada")
        self.runs = {status: make_run(owner, status=status) for status in Status}

    def test_active_ones_are_those_that_are_not_over(self):
        found = set(Run.objects.active().values_list("status", flat=True))
        self.assertEqual(found, {str(status) for status in ACTIVE})
        held = set(Run.objects.held_ones().values_list("status", flat=True))
        self.assertEqual(held, {"starting", "running"})

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's plan")
    def test_they_are_found_by_an_index(self):
        runs = Run.objects
        for query in (
            runs.held_ones().filter(executor="x").values("pk"),
            runs.active().filter(status=Status.QUEUED).values("owner"),
            runs.filter(IS_ACTIVE | Q(pk__gt=10)).values("pk"),
            # How somebody stands with their limits, and what their runs have printed.
            runs.filter(IS_ACTIVE, owner=1).values("output_bytes"),
            runs.held_ones().filter(output_bytes__gt=Coalesce("output_counted", 0)).values("pk"),
        ):
            plan = self.plan(query)
            self.assertIn("run_queue_and_held", plan)
            self.assertNotIn("SCAN runs_run", plan.replace("SCAN runs_run USING", ""))

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's plan")
    def test_what_is_stored_is_summed_up_from_an_index_alone(self):
        summed = Run.objects.filter(owner=1).values("owner").annotate(sum=Sum("stored_bytes"))
        self.assertIn("COVERING INDEX run_stored_of_owner", self.plan(summed))

    def plan(self, query) -> str:
        sql, params = query.order_by().query.sql_with_params()
        with connection.cursor() as cursor:
            # With its parameters: what SQLite cannot see when it plans decides.
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            return " ".join(row[-1] for row in cursor.fetchall())
