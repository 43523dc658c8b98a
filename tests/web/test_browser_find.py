"""Finding text in a run: the bar, the hits, the marks, and the way there from the list."""

import re

from playwright.sync_api import expect

from .. import browser
from ..browser import BrowserTestCase

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

MANY = (
    "import time\n"
    "for n in range(1, 20001):\n"
    "    print(f'Processing item {n}' + (' NEEDLE' if n % 500 == 7 else ''))\n"
)


class FindTests(BrowserTestCase):
    @property
    def bar(self):
        return self.page.locator("[data-find]")

    @property
    def count(self):
        return self.page.locator("[data-find-count]")

    def find(self, words):
        self.page.keyboard.press("/")
        self.page.locator("[data-find-field]").fill(words)

    def shown(self, text):
        """A row with this text is inside the log's window."""
        row = self.page.locator(
            ".row", has_text=re.compile(f"^{re.escape(text)}$|{re.escape(text)}")
        )
        expect(row.first).to_be_in_viewport()

    def finished(self, program, **fields):
        run = self.site.launch(program, **{"kind": "python"} | fields)
        self.site.ended(run["id"])
        return run

    def test_from_hit_to_hit_in_a_long_log_also_where_nothing_is_loaded(self):
        self.visit(self.finished(MANY))
        self.find("needle")
        expect(self.count).to_have_text("1 of 40")
        self.shown("Processing item 7 NEEDLE")
        self.page.keyboard.press("Shift+Enter")
        expect(self.count).to_have_text("40 of 40")
        self.shown("Processing item 19507 NEEDLE")
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Enter")
        expect(self.count).to_have_text("2 of 40")
        self.shown("Processing item 507 NEEDLE")
        self.page.locator("[data-log]").focus()
        self.page.keyboard.press("j")
        expect(self.count).to_have_text("3 of 40")
        self.page.keyboard.press("k")
        expect(self.count).to_have_text("2 of 40")
        expect(self.page.locator("canvas.hit-marks")).to_be_visible()
        expect(self.page).to_have_url(re.compile(r"\?find=needle"))

    def test_escape_closes_and_gives_the_focus_back(self):
        self.visit(self.finished("print('one')\nprint('two')"))
        self.page.locator("[data-log]").focus()
        self.find("two")
        expect(self.count).to_have_text("1 of 1")
        self.page.keyboard.press("Escape")
        expect(self.bar).to_be_hidden()
        expect(self.page.locator("[data-log]")).to_be_focused()
        self.assertNotIn("find=", self.page.url)
        expect(self.page.locator("canvas.hit-marks")).to_be_hidden()

    def test_case_patterns_and_what_is_no_pattern(self):
        self.visit(self.finished("print('Error 1\\nerror 22\\nfine')"))
        self.find("error")
        expect(self.count).to_have_text("1 of 2")
        self.page.locator("[data-find-case]").click()
        expect(self.count).to_have_text("1 of 1")
        self.page.locator("[data-find-case]").click()
        self.page.locator("[data-find-regex]").click()
        self.page.locator("[data-find-field]").fill(r"error \d\d")
        expect(self.count).to_have_text("1 of 1")
        self.expected.append("400")  # the console tells of every refused call
        self.page.locator("[data-find-field]").fill("error (")
        expect(self.bar.get_by_role("alert")).to_contain_text("not understood")
        self.page.locator("[data-find-field]").fill("nowhere")
        expect(self.count).to_have_text("No line has it")
        expect(self.bar.get_by_role("alert")).to_be_hidden()

    def test_a_filter_narrows_the_search(self):
        program = "import sys\nprint('a word')\nprint('a word', file=sys.stderr)"
        self.visit(self.finished(program))
        self.find("word")
        expect(self.count).to_have_text("1 of 2")
        self.page.locator("[data-stream-toggle=stdout]").click()
        expect(self.count).to_have_text("1 of 1")

    def test_what_is_printed_while_the_bar_is_open_is_found(self):
        self.launch(
            "print('needle 1', flush=True)\ninput()\nprint('needle 2', flush=True)\ninput()",
            kind="python", stdin=True,
        )  # fmt: skip
        self.find("needle")
        expect(self.count).to_have_text("1 of 1")
        self.page.locator("[data-stdin] [name=text]").fill("go on")
        self.page.keyboard.press("Enter")
        expect(self.count).to_have_text("1 of 2")
        self.page.locator("[data-cancel] button").click()

    def test_from_the_list_to_the_line(self):
        run = self.finished(MANY, title="Long search")
        self.page.goto("/runs/?q=item+15007+needle&output=1")
        # The newest run comes first.
        self.page.locator(".run-hits a", has_text="Processing item 15007").first.click()
        self.page.wait_for_url(re.compile(re.escape(run["urls"]["page"])))
        self.shown("Processing item 15007 NEEDLE")
        expect(self.count).to_have_text("1 of 1")
        expect(self.page.locator("[data-find-field]")).to_have_value("item 15007 needle")
