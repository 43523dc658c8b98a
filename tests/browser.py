"""A headless Chromium for tests of the pages; they fail on whatever a page complains about."""

import shutil
import unittest
from contextlib import ExitStack, closing

import pytest
from django.test import SimpleTestCase
from playwright.sync_api import Browser, expect, sync_playwright

from .site import PASSWORD, Site

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip

expect.set_options(timeout=10_000)

_shared = ExitStack()
_site: Site | None = None
_browser: Browser | None = None
_login: dict | None = None


def open_browser():
    """Start what the tests of a module share; its setUpModule."""
    global _site, _browser, _login
    if not CHROMIUM:
        return
    # Tests of what is noticed then wait for it.
    _site = _shared.enter_context(Site(STREAMSITE_VIEWER_RECHECK_SECONDS="3"))
    playwright = _shared.enter_context(sync_playwright())
    _browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    _shared.callback(_browser.close)
    _login = _log_in()


def close_browser():
    """End it; the module's tearDownModule. Other tests need the thread's event loop."""
    _shared.close()


def _log_in() -> dict:
    with closing(_browser.new_context(base_url=_site.url)) as context:
        page = context.new_page()
        page.goto("/accounts/login/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("/")
        return context.storage_state()


@pytest.mark.browser
@unittest.skipUnless(CHROMIUM, "needs Chromium: install chromium and run the tests again")
class BrowserTestCase(SimpleTestCase):
    """A site, a browser, and a logged in `page` for each test.

    A test fails on an uncaught error, a console error or a violated policy; what it
    expects of those it puts into `expected`, as parts of the messages.
    """

    def setUp(self):
        self.site = _site
        self.problems, self.expected = [], []
        self.page = self.open()

    def open(self, **options):
        """A new page of somebody who is logged in."""
        options = {"base_url": self.site.url, "storage_state": _login, **options}
        context = _browser.new_context(**options)
        self.addCleanup(context.close)
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._heard)
        return page

    def _heard(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def tearDown(self):
        surprising = [
            text for text in self.problems if not any(part in text for part in self.expected)
        ]
        self.assertEqual(surprising, [])

    # --- the run's page ----------------------------------------------------------

    def launch(self, program, **fields):
        """Launch by the API and open the run's page; the run."""
        run = self.site.launch(program, **fields)
        self.visit(run)
        return run

    def visit(self, run, page=None, query=""):
        page = page or self.page
        page.goto(run["urls"]["page"] + query)
        page.wait_for_selector("[data-run][data-ready]", timeout=10_000)

    def wait_for_status(self, word, page=None):
        expect((page or self.page).locator(".run-line .status")).to_have_text(word)

    def rows(self, page=None):
        """The text of each row that is drawn: of a long log, those around what is seen."""
        return (page or self.page).locator(".row .text")

    def texts(self, page=None):
        return self.rows(page).all_text_contents()
