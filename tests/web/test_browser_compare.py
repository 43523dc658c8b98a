"""The pages that compare two runs, as they look and can be read."""

from playwright.sync_api import expect

from .. import browser
from ..browser import BrowserTestCase
from .accessibility import LOOKS, overhang_of, problems_of

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

OLD = "seq 1 40; echo oh >&2; echo '{\"type\": \"done\"}'; printf 'long %05000d\\n' 1"
NEW = "seq 1 20; echo new; seq 22 40; date +%s%N >&2; printf 'long %05000d\\n' 2; exit 3"


class CompareTests(BrowserTestCase):
    def test_from_the_runs_page_to_what_differs_and_to_its_line(self):
        old, new = (self.site.launch(program, title="Nightly") for program in (OLD, NEW))
        for run in (old, new):
            self.site.ended(run["id"])
        for scheme, width in LOOKS:
            page = self.open(color_scheme=scheme, viewport={"width": width, "height": 800})
            self.visit(new, page)
            page.get_by_role("link", name="compare with …").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Compare with another run")
            self.assertEqual(problems_of(page), [])
            self.assertLessEqual(overhang_of(page), 0)
            page.get_by_role("link", name="Compare with the one of").first.click()
            expect(page.get_by_text("They did not print the same")).to_be_visible()
            self.assertEqual(problems_of(page), [])
            self.assertLessEqual(overhang_of(page), 0)
            removed = page.locator(".diff-row.removed", has_text="21").first
            removed.get_by_role("link", name="21").click()
            expect(page.locator(".row.marked .text")).to_have_text(["21"])
