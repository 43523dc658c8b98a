"""A run shared by a link, as somebody without an account sees it."""

import json
from urllib.parse import urlsplit

from playwright.sync_api import expect

from .. import browser
from ..browser import BrowserTestCase
from .accessibility import LOOKS, overhang_of, problems_of

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

SLOW = "echo begun; while read -r line; do echo got $line; done"
HTML = "from IPython.display import HTML, display; display(HTML('<b>rich</b>'))"


class SharedTests(BrowserTestCase):
    def share(self, run) -> str:
        """A link to the run."""
        status, share = self.site.request("POST", f"/api/runs/{run['id']}/shares", {})
        self.assertEqual(status, 201)
        return urlsplit(share["url"]).path

    def open_link(self, link, **options):
        page = self.open(storage_state=None, **options)
        self.asked = []
        page.on("request", lambda request: self.asked.append(request))
        page.goto(link)
        page.wait_for_selector("[data-run][data-ready]")
        return page

    def test_a_live_run_goes_on_without_an_account(self):
        run = self.site.launch(SLOW, stdin=True)
        page = self.open_link(self.share(run))
        expect(self.rows(page)).to_have_text(["begun"])
        expect(page.locator("[data-connection]")).to_have_text("live")
        with self.site.socket(run["id"]) as socket:
            socket.send(json.dumps({"type": "stdin", "task": 0, "text": "more\n"}))
            expect(self.rows(page)).to_have_text(["begun", "got more"])
            socket.send(json.dumps({"type": "stdin", "task": 0, "eof": True}))
        self.wait_for_status("Succeeded", page)
        for name in ("Cancel", "Run again", "Share", "Export", "Log out"):
            self.assertEqual(page.get_by_text(name, exact=True).count(), 0, name)
        asked = [urlsplit(request.url).path for request in self.asked]
        self.assertEqual([path for path in asked if path.startswith("/api/runs/")], [])
        referers = [request.all_headers().get("referer", "") for request in self.asked]
        self.assertEqual([referer for referer in referers if "sss_" in referer], [])

    def test_links_to_a_line_a_range_and_a_time(self):
        run = self.site.launch("seq 1 5000")
        self.site.ended(run["id"])
        link = self.share(run)
        page = self.open_link(link + "#L2500")
        expect(page.locator(".row.marked .text")).to_have_text(["2500"])
        page = self.open_link(link + "#L2500-L2502")
        expect(page.locator(".row.marked .text")).to_have_text(["2500", "2501", "2502"])
        page = self.open_link(link + "?t=0")
        expect(page.locator("[data-position]")).to_have_text("0:00.0")
        # What is far away is asked for by the link, too; and found.
        page.keyboard.press("/")
        page.keyboard.type("4999")
        expect(page.locator("[data-find-count]")).to_contain_text("1")

    def test_rich_results(self):
        run = self.site.launch(HTML, kind="python", mode="notebook")
        self.site.ended(run["id"], 40)
        page = self.open_link(self.share(run))
        expect(page.frame_locator("iframe").get_by_text("rich")).to_be_visible()

    def test_a_revoked_link(self):
        self.expected.append("status of 404")
        run = self.site.launch("echo once")
        link = self.share(run)
        api = f"/api/runs/{run['id']}/shares"
        share = self.site.request("GET", api)[1]["items"][0]
        self.assertEqual(self.site.request("DELETE", f"{api}/{share['id']}")[0], 204)
        for scheme, width in LOOKS:
            page = self.open(
                storage_state=None, color_scheme=scheme, viewport={"width": width, "height": 800}
            )
            page.goto(link)
            expect(page.get_by_role("heading")).to_have_text("This link opens nothing")
            self.assertEqual(problems_of(page), [])

    def test_making_one_and_how_both_pages_look(self):
        run = self.site.launch("echo once")
        for scheme, width in LOOKS:
            options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
            page = self.open(**options)
            self.visit(run, page)
            page.get_by_role("link", name="Share", exact=True).click()
            page.get_by_label("For whom").fill("the vendor")
            page.get_by_role("button", name="Make a link").click()
            link = page.get_by_label("The link", exact=True).input_value()
            self.assertEqual(problems_of(page), [])
            self.assertLessEqual(overhang_of(page), 0)
            page = self.open_link(link, **options)
            self.assertEqual(problems_of(page), [])
            self.assertLessEqual(overhang_of(page), 0)
