"""The list of runs, searched in what they printed. Works without a script."""

import re
from unittest import mock

from django.test import TestCase

from runs.streaming import searching
from runs.web import listing
from tests.factories import make_run
from tests.people import make_people


class SearchPageTests(TestCase):
    def setUp(self):
        people = make_people()
        self.alice, self.bob, self.auditor = people.alice, people.bob, people.auditor

    def page(self, user=None, answered=200, **query):
        self.client.force_login(user or self.alice)
        response = self.client.get("/runs/", query)
        self.assertEqual(response.status_code, answered)
        return response

    def test_a_hit_stands_under_its_run_and_leads_to_its_line(self):
        chunks = ["one\n", "\x1b[1mtwo <b>NEEDLE</b> & more\x1b[0m\n", "end\n"]
        run = make_run(self.alice, chunks=chunks, title="Some run")
        make_run(self.alice, chunks=["nothing\n"], title="Other run")
        page = self.page(q="needle", output="1")
        self.assertContains(page, "Some run")
        self.assertNotContains(page, "Other run")
        self.assertContains(page, f'href="/runs/{run.public_id}/?find=needle#L2"')
        self.assertContains(page, "two &lt;b&gt;<mark>NEEDLE</mark>&lt;/b&gt; &amp; more")
        self.assertContains(page, 'name="output" value="1" checked')

    def test_without_the_box_the_words_are_looked_for_in_what_runs_are(self):
        make_run(self.alice, chunks=["needle\n", "end\n"], title="Printed it")
        make_run(self.alice, chunks=["x\n"], title="Named needle")
        self.assertNotContains(self.page(q="needle"), "Printed it")
        self.assertContains(self.page(q="needle"), "Named needle")
        self.assertNotContains(self.page(q="needle", output="1"), "Named needle")
        # No words: the box alone hides nothing.
        self.assertContains(self.page(output="1"), "Printed it")

    def test_the_other_filters_narrow_it(self):
        make_run(self.alice, "failed", chunks=["needle\n"], title="Failed run")
        make_run(self.alice, chunks=["needle\n"], title="Good run")
        page = self.page(q="needle", output="1", status="failed")
        self.assertContains(page, "Failed run")
        self.assertNotContains(page, "Good run")

    def test_nobody_finds_what_others_printed(self):
        make_run(self.bob, chunks=["needle\n"], title="His run")
        self.assertContains(self.page(q="needle", output="1"), "No run printed that")
        self.assertContains(self.page(self.auditor, q="needle", output="1"), "His run")

    def test_a_page_is_bounded_and_the_next_one_goes_on_where_it_ended(self):
        for n in range(3):
            lines = ["nothing\n"] * 25 + [f"needle {n}\n"]
            make_run(self.alice, chunks=lines, title=f"Run number {n}")
        with (
            mock.patch.object(searching, "EXAMINED_MAX", 10),
            mock.patch.object(listing, "SECONDS", 0),
        ):
            titles, query, pages = [], {"q": "needle", "output": "1"}, 0
            while query:
                text = self.page(**query).content.decode()
                titles += re.findall(r'data-field="title">(Run number \d)', text)
                following = re.search(r'href="\?([^"]+)" rel="next">Search older runs', text)
                pairs = following[1].replace("&amp;", "&").split("&") if following else []
                query = dict(pair.split("=") for pair in pairs)
                pages += 1
        self.assertEqual(titles, ["Run number 2", "Run number 1", "Run number 0"])
        self.assertGreater(pages, 5)

    def test_many_hits_lead_to_the_rest(self):
        run = make_run(self.alice, chunks=["50% & more\n"] * 9)
        page = self.page(q="50% & more", output="1")
        self.assertContains(page, "<mark>50% &amp; more</mark>", count=3)
        link = f'href="/runs/{run.public_id}/?find=50%25%20%26%20more"><span'
        self.assertContains(page, link)

    def test_odd_words_are_answered_in_sentences(self):
        make_run(self.alice, chunks=["x\n"])
        for q in ("x" * 10_000, "a\0b", "a\nb"):
            page = self.page(answered=400, q=q, output="1")
            self.assertContains(page, 'role="alert"', status_code=400)
        self.page(answered=400, q="x", output="1", cursor="12")
        for q in ("%", "'", '"', "<script>", "\u202e", "{{ q }}", "(a+)+$"):
            self.assertContains(self.page(q=q, output="1"), "No run printed that")
