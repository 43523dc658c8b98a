"""The modules that draw nothing, each by its own file in scripts/, inside a page."""

from pathlib import Path

from .. import browser
from ..browser import BrowserTestCase

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

SCRIPTS = Path(__file__).resolve().parent / "scripts"
KIT = (SCRIPTS / "kit.js").read_text()


class ScriptTests(BrowserTestCase):
    def test_the_modules_that_draw_nothing(self):
        self.page.goto("/accounts/login/")
        files = [path for path in sorted(SCRIPTS.glob("*.js")) if path.name != "kit.js"]
        self.assertTrue(files)
        for path in files:
            outcome = self.page.evaluate(f"() => {KIT}({path.read_text()})")
            self.assertTrue(outcome, path.name)
            for name, problem in outcome.items():
                with self.subTest(f"{path.stem}: {name}"):
                    self.assertEqual(problem, "")
