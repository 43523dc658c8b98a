"""Results in their place on the run's page; hostile ones too."""

import base64
import unittest
from importlib.util import find_spec

from playwright.sync_api import expect

from .. import browser
from .accessibility import LOOKS, overhang_of, problems_of
from .rich_case import RichCase, bundle, png

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

needs_pandas = unittest.skipUnless(find_spec("pandas"), "needs pandas")

SCRIPT = (
    "try { parent.document.title = 'owned' } catch {} document.title = 'owned';"
    "fetch('/api/runs?owned'); new Image().src = '/health?stolen=' + document.cookie"
)
ATTACK = f"""
<script>{SCRIPT}</script><img src=x onerror="{SCRIPT}"><svg onload="{SCRIPT}"></svg>
<iframe srcdoc="<script>{SCRIPT}</script>"></iframe><iframe src="javascript:{SCRIPT}"></iframe>
<meta http-equiv=refresh content="0; url=/accounts/logout/"><base href="/stolen/">
<link rel=stylesheet href="/static/stolen.css">
<style>@import '/stolen.css'; body {{ background: url(/stolen.png) }}</style>
<form id=f method=post action="/accounts/logout/"><button form=f>press</button></form>
<a id=j href="javascript:{SCRIPT}">script</a> <a id=t target=_top href="/accounts/logout/">top</a>
<a id=b target=_blank href="/stolen">new</a><video src=/stolen.mp4></video>
<object data=/stolen></object>
"""
SVG_ATTACK = (
    f"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9' onload=\"{SCRIPT}\">"
    f"<script>{SCRIPT}</script><image href='/stolen.svg.png'/></svg>"
)
LATEX_ATTACK = (
    r"$\text{<script>document.title='owned'</script><img src=/stolen onerror=alert(1)>}"
    r"\href{javascript:alert(1)}{x}$"
)


class ResultTests(RichCase):
    def test_results_can_be_read_by_everybody(self):
        chart = {"type": "line", "title": "Waves", "elements": [
            {"label": "sin", "points": [[0, 0], [1, 1], [2, 0]]}]}  # fmt: skip
        run = self.notebook(
            "display(HTML('<table><thead><tr><th>a</th></tr></thead><tr><td>1</td></tr></table>'))\n"
            "display(Latex('$x^2$'), JSON({'a': [1, {'b': 2}]}), Markdown('**bold**'))\n"
            + bundle(image__png=png(300, 200), text__plain="<Figure>")
            + bundle(chart=chart, text__plain="x")
            + "1 / 0",
            word="Failed",
        )
        for scheme, width in LOOKS:
            page = self.open(color_scheme=scheme, viewport={"width": width, "height": 2000})
            self.visit(run, page)
            expect(page.locator(".chart path, .chart polyline").first).to_be_visible()
            with self.subTest(scheme):
                self.assertEqual(problems_of(page), [])
                self.assertLessEqual(overhang_of(page), 0)
            page.context.close()

    @needs_pandas
    def test_a_data_frame_is_a_table_that_fits(self):
        self.notebook("import pandas as pd\npd.DataFrame({'a': range(8), 'b': range(8)})")

        expect(self.frame().locator("tbody tr")).to_have_count(8)
        box = self.page.locator(".frame-box").bounding_box()
        table = self.frame().locator("table").bounding_box()
        self.assertLess(table["height"], box["height"])
        self.assertLess(box["height"] - table["height"], 60)
        expect(self.frame().locator("td").first).to_have_css("text-align", "right")

    def test_a_table_is_readable_in_the_dark(self):
        page = self.open(color_scheme="dark")
        self.notebook("HTML('<table><tr><td>cell</td></tr></table>')", page=page)
        frame = page.frame_locator("iframe.result-frame")

        expect(frame.locator("td")).to_have_css("color", "rgb(227, 230, 234)")
        expect(frame.locator("html")).to_have_css("background-color", "rgb(26, 29, 35)")

    def test_an_image_has_its_place_before_it_is_there(self):
        self.notebook(bundle(image__png=png(300, 120), text__plain="<Figure>"))
        image = self.page.locator("img.result-image")

        expect(image).to_have_js_property("naturalWidth", 300)
        expect(image).to_have_attribute("width", "300")
        expect(image).to_have_attribute("alt", "<Figure>")

    def test_the_richest_comes_first_and_the_others_are_a_click_away(self):
        chart = {"type": "bar", "title": "Sales", "elements": [
            {"label": "Ann", "group": "g", "value": 3}, {"label": "Ben", "group": "g", "value": 5},
        ]}  # fmt: skip
        self.notebook(bundle(chart=chart, image__png=png(9, 9), text__plain="<Figure>"))

        expect(self.results.locator(".chart rect.series")).to_have_count(2)
        self.results.get_by_role("button", name="PNG").click()
        expect(self.results.locator("img.result-image")).to_be_visible()
        expect(self.results.locator(".chart")).to_have_count(0)
        self.results.get_by_role("button", name="Text").click()
        expect(self.results.locator("pre.text")).to_have_text("<Figure>")

    def test_a_chart_is_read_by_keys_and_as_a_table(self):
        chart = {"type": "line", "title": "Waves", "x_label": "Time (s)", "y_label": "m",
                 "elements": [{"label": "a", "points": [[0, 1], [1, 4], [2, 9]]}]}  # fmt: skip
        self.notebook(bundle(chart=chart, text__plain="x"))
        reading = self.page.locator(".chart-reading")

        self.page.locator(".chart-picture").focus()
        self.page.keyboard.press("ArrowRight")
        expect(reading).to_have_text("a · Time (s) 0 · m 1")
        self.page.keyboard.press("End")
        expect(reading).to_have_text("a · Time (s) 2 · m 9")
        self.page.locator(".chart-picture").hover(position={"x": 60, "y": 20})
        expect(reading).to_contain_text("Time (s) 0")
        self.page.get_by_text("Data", exact=True).click()
        expect(self.page.locator(".data-table tbody tr")).to_have_count(3)

    def test_formulas_are_set(self):
        self.notebook(r"display(Math(r'\frac{a}{b}'), Latex(r'so $x^2$, and $\frac{$'))")

        expect(self.frame(0).locator("mfrac")).to_be_visible()
        expect(self.frame(1).locator("msup")).to_be_visible()
        expect(self.frame(1).locator("code")).to_have_text("\\frac{")

    def test_json_unfolds(self):
        self.notebook("JSON({'name': 'x', 'list': list(range(250)), 'deep': {'a': {'b': 1}}})")
        tree = self.results.locator(".json")

        expect(tree).to_contain_text("[ 250 items ]")
        tree.get_by_text("[ 250 items ]").click()
        expect(tree).to_contain_text("99: 99")
        tree.get_by_role("button", name="150 more").click()
        expect(tree).to_contain_text("199: 199")

    def test_a_result_is_downloaded_as_it_was(self):
        self.notebook(bundle(image__png=png(4, 4), text__plain="<Figure>"))
        with self.page.expect_download() as started:
            self.results.get_by_role("link", name="Download PNG").click()
        download = started.value

        self.assertRegex(download.suggested_filename, r"^result-\d+\.png$")
        self.assertEqual(download.path().read_bytes(), base64.b64decode(png(4, 4)))

    def test_an_error_has_its_traceback(self):
        self.notebook("def f(n):\n    return 1 / n\nf(0)", "Failed")

        expect(self.page.locator(".error-title")).to_have_text(
            "ZeroDivisionError: division by zero"
        )
        expect(self.page.locator(".traceback")).to_contain_text("return 1 / n")

    def test_narrow_pages_do_not_scroll_sideways(self):
        page = self.open(viewport={"width": 400, "height": 700})
        chart = {"type": "pie", "title": "t", "elements": [{"label": "a" * 90, "angle": 90}]}
        wide = "display(HTML('<table><tr>' + '<td>wide cell</td>' * 40 + '</table>'))"
        self.notebook(bundle(chart=chart) + bundle(image__png=png(900, 20)) + wide, page=page)
        page.locator("iframe.result-frame").wait_for()
        for selector in ("html", "[data-log]"):
            fits = page.locator(selector).evaluate("e => e.scrollWidth <= e.clientWidth")
            self.assertTrue(fits, selector)


class HostileTests(RichCase):
    def test_results_cannot_reach_the_page_the_session_or_the_network(self):
        self.expected = ["Blocked", "Refused", "violates", "sandboxed", "Content Security Policy"]
        answered, opened = [], []
        self.page.on("response", lambda response: answered.append(response.url))
        self.page.context.on("page", lambda page: opened.append(page.url))
        run = self.notebook(
            f"display(HTML({ATTACK!r}))\ndisplay({{'image/svg+xml': {SVG_ATTACK!r}}}, raw=True)\n"
            f"display(Latex({LATEX_ATTACK!r}))"
        )
        expect(self.page.locator("img.result-image")).to_have_js_property("naturalWidth", 9)
        for name in ("#j", "#t", "#b", "button"):
            self.frame().locator(name).click()
        expect(self.frame(1).locator("math")).to_be_visible()

        self.assertNotEqual(self.page.title(), "owned")
        self.assertTrue(self.page.url.endswith(run["urls"]["page"]))
        taken = [
            url for url in answered if any(word in url for word in ("stolen", "logout", "owned"))
        ]
        self.assertEqual(taken, [])
        self.assertEqual(opened, [])
        self.page.goto("/account/")
        expect(self.page.locator("h1")).to_be_visible()

    def test_a_result_opened_by_itself_can_do_nothing_either(self):
        self.expected = ["Blocked script execution"]
        run = self.notebook(
            "display(HTML(\"<b>x</b><script>document.title = document.cookie + 'owned'</script>\"))"
        )
        seq = next(
            chunk["seq"] for chunk in self.site.chunks(run["id"]) if chunk["stream"] == "result"
        )
        self.page.goto(f"{run['urls']['page']}results/{seq}/")

        expect(self.page.locator("b")).to_have_text("x")
        self.assertNotIn("owned", self.page.title())
        self.assertEqual(self.page.evaluate("origin"), "null")

    def test_text_of_all_kinds_is_text(self):
        evil = "<img src=x onerror=alert(1)>\u202e\x1b[2J<script>alert(1)</script>"
        deep = "{'a':" * 150 + "1" + "}" * 150
        shown = (
            "{'text/plain': e}", "{'text/markdown': e}", "{'application/json': {e: [e, {e: e}]}}",
            "{e: e}", f"{{'application/json': {deep}}}",
            "{'chart': {'type': 'pie', 'title': e, 'elements': [{'label': e, 'angle': 9}]}}",
        )  # fmt: skip
        self.notebook(
            f"e = {evil!r}\n" + "".join(f"display({data}, raw=True)\n" for data in shown)
            + "raise type(e, (Exception,), {})(e)", "Failed",
        )  # fmt: skip
        expect(self.page.locator(".error-title")).to_be_visible()
        for _ in range(40):
            closed = self.page.locator(".json details:not([open]) > summary")
            if not closed.count():
                break
            closed.first.click()

        self.assertEqual(self.page.locator("[data-log] script, [data-log] img").count(), 0)
        self.assertNotIn("\u202e", self.page.locator("[data-log]").inner_text())

    def test_very_large_results_leave_the_page_quick(self):
        line = "{'type': 'line', 'elements': [{'points': [[n, n % 7] for n in range(100_000)]}]}"
        self.notebook(
            "display({'text/html': '<p>x</p>' * 6_500_000, 'text/plain': 'big'}, raw=True)\n"
            "display({'text/html': '<p>x</p>' * 900_000, 'text/plain': 'large'}, raw=True)\n"
            f"display({{'chart': {line}}}, raw=True)\n"
            "display({'application/json': list(range(300_000))}, raw=True)"
        )
        expect(self.page.get_by_text("was left out")).to_be_visible()
        expect(self.page.locator(".chart-picture")).to_be_visible()
        self.assertLess(self.page.locator("*").count(), 6_000)
        # It still answers.
        self.page.keyboard.press("?")
        expect(self.page.locator("[data-keys]")).to_be_visible()
