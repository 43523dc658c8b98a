"""What every page owes its readers: to be read by all of them, and to stand still."""

from playwright.sync_api import expect

from .. import browser
from ..browser import BrowserTestCase
from .accessibility import LOOKS, overhang_of, problems_of

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

NARROW_AND_WIDE = [360, 400, 1280, 2560]

COLOURS = r"""for i in $(seq 0 255); do printf '\033[38;5;%dmc%d\033[0m ' $i $i; done; echo
printf '\033[41mred\033[0m \033[2mdim\033[0m \033[7mturned\033[0m https://example.org/ \n'
echo problem >&2"""
EVENTS = """echo '{"type": "stage", "data": {"name": "extract", "status": "running"}}'
echo '{"type": "progress", "data": {"percent": 40, "message": "half"}}'
echo '{"type": "odd", "data": {"rows": [1, 2, {"deep": true}]}}'
echo '{"type": "loss", "data": {"step": 1, "loss": 0.5}}'
echo '{"type": "loss", "data": {"step": 2, "loss": 0.4}}'"""
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    if (!hadRecentInput) shifts.push([value, ...sources.map(({ node }) => node?.outerHTML?.slice(0, 90))]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""  # noqa: E501


class AccessibleTests(BrowserTestCase):
    """By axe, in light and dark, wide and narrow."""

    def check(self, name, page):
        with self.subTest(name):
            self.assertEqual(problems_of(page), [])
            self.assertLessEqual(overhang_of(page), 0)

    def looks(self, **options):
        for scheme, width in LOOKS:
            page = self.open(
                color_scheme=scheme, viewport={"width": width, "height": 800}, **options
            )
            yield f"{scheme} {width}", page
            page.context.close()

    def test_log_in(self):
        for look, page in self.looks(storage_state=None):
            page.goto("/accounts/login/")
            self.check(f"log in, {look}", page)
            page.fill("[name=username]", "nobody")
            page.fill("[name=password]", "wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_be_visible()
            self.check(f"refused, {look}", page)

    def test_launch(self):
        self.expected.append("status of 422")
        for look, page in self.looks():
            page.goto("/")
            self.check(f"launch, {look}", page)
            page.locator("summary", has_text="Advanced").click()
            page.locator("label.kind", has_text="Parallel").click()
            self.check(f"parallel and advanced, {look}", page)
            page.fill("#timeout", "soon")
            page.press("#timeout", "Control+Enter")
            expect(page.get_by_role("alert")).to_be_visible()
            self.check(f"refused, {look}", page)

    def test_lists_account_and_what_is_not_there(self):
        self.expected.append("status of 404")
        self.site.ended(self.site.launch("echo needle", title="A run to list")["id"])
        for look, page in self.looks():
            pages = {
                "list": "/runs/",
                "empty": "/runs/?q=nothing+has+this+name",
                "found in output": "/runs/?q=needle&output=1",
                "account": "/account/",
                "webhook": "/account/webhook/",
                "password": "/account/password/",
                "not there": "/runs/nope/",
            }
            for name, address in pages.items():
                page.goto(address)
                self.check(f"{name}, {look}", page)
            page.locator(".top .menu summary").click()
            self.check(f"menu, {look}", page)

    def test_runs(self):
        launch = self.site.launch
        runs = {
            "live": launch("echo begun; read x", stdin=True),
            "colours": launch(COLOURS),
            "failed": launch("import sys; print('a'); sys.exit(3)", kind="python"),
            "events": launch(EVENTS),
            "parallel": launch(["echo one", "echo two >&2; exit 2"], kind="parallel"),
        }
        for name, run in runs.items():
            if name != "live":
                self.site.ended(run["id"])
        for look, page in self.looks():
            for name, run in runs.items():
                self.visit(run, page)
                self.check(f"{name}, {look}", page)
            self.visit(runs["events"], page)
            page.locator(".event-block summary").nth(2).click()
            self.check(f"unfolded, {look}", page)
            page.keyboard.press("/")
            page.keyboard.type("half")
            expect(page.locator("[data-find]")).to_be_visible()
            self.check(f"find, {look}", page)
            page.keyboard.press("Escape")
            page.evaluate("document.activeElement.blur()")
            page.keyboard.press("?")
            expect(page.locator("dialog.keys")).to_be_visible()
            self.check(f"keys, {look}", page)


class CodeFieldTests(BrowserTestCase):
    def setUp(self):
        super().setUp()
        self.page.goto("/")
        self.page.locator("label.kind", has_text="Python").click()
        self.field = self.page.locator("#program")
        self.field.focus()

    def test_code_is_typed_as_in_an_editor_and_can_be_undone(self):
        page = self.page
        page.keyboard.type("if True:")
        page.keyboard.press("Enter")
        page.keyboard.type("print('in')")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("x")
        inside = "if True:\n    print('in')\n        x"
        expect(self.field).to_have_value(inside)
        page.keyboard.press("Shift+Tab")
        expect(self.field).to_have_value(inside.replace("        x", "    x"))
        page.keyboard.press("Control+z")
        expect(self.field).to_have_value(inside)
        page.keyboard.press("Control+a")
        page.keyboard.press("Tab")
        expect(self.field).to_have_value("    " + inside.replace("\n", "\n    "))

    def test_a_keyboard_is_not_caught_in_the_field(self):
        page = self.page
        page.keyboard.press("Tab")
        expect(self.field).to_be_focused()
        expect(self.field).to_have_accessible_description(
            "Tab indents; Esc and then Tab leaves the field"
        )
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
        expect(page.locator("#timeout")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        expect(self.field).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("Shift+Tab")
        expect(page.locator("[name=mode][value=script]")).to_be_focused()

    def test_what_was_refused_is_kept_and_has_the_focus(self):
        self.expected.append("status of 422")
        page = self.page
        page.keyboard.type("print('kept')")
        page.locator("#timeout").fill("soon")
        page.locator("summary", has_text="Advanced").click()
        page.locator("[name=env_name]").fill("TOKEN")
        secret = page.locator("[name=env_value]")
        secret.fill("sesame")
        expect(secret).to_have_attribute("type", "password")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(secret).to_have_attribute("type", "text")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("alert")).to_be_visible()

        expect(page.locator("#timeout")).to_be_focused()
        expect(self.field).to_have_value("print('kept')")
        expect(secret).to_have_value("sesame")
        expect(secret).to_have_attribute("type", "password")

    def test_an_example_fills_the_form(self):
        self.page.get_by_role("link", name="Three tasks in parallel").click()
        expect(self.page.get_by_label("Task 3")).to_be_visible()
        self.page.get_by_role("link", name="A program that fails").click()
        expect(self.field).to_be_focused()
        expect(self.page.locator("#title")).to_have_value("A program that fails")


class StillTests(BrowserTestCase):
    """Nothing moves under the reader's hand, and nothing hangs over the edge."""

    def test_pages_do_not_jump_while_they_load(self):
        run = self.site.launch("seq 1 300; echo problem >&2")
        self.site.ended(run["id"])
        live = self.site.launch("read x", stdin=True)
        staged = self.site.launch(EVENTS)
        lanes = self.site.launch(["seq 1 9", "seq 1 99; exit 2"], kind="parallel")
        for each in (staged, lanes):
            self.site.ended(each["id"])
        runs = [each["urls"]["page"] for each in (run, live, staged, lanes)]
        for width in NARROW_AND_WIDE:
            page = self.open(viewport={"width": width, "height": 800})
            page.add_init_script(SHIFTS)
            for address in ("/", "/runs/", *runs):
                page.goto(address, wait_until="networkidle")
                page.evaluate(
                    "new Promise((done) => setTimeout(() => requestAnimationFrame(done)))"
                )
                shifts = page.evaluate("shifts")
                with self.subTest(f"{address} at {width}", shifts=shifts):
                    # Numbers told in events get a row above the log when they are known; on a
                    # telephone the log fills what a run that goes on leaves it.
                    most = 0.03 if width > 640 else 0.06
                    self.assertLess(sum(shift[0] for shift in shifts), most)
                    self.assertLessEqual(overhang_of(page), 0)


class TabTests(BrowserTestCase):
    def test_the_title_and_the_picture_follow_the_run(self):
        run = self.launch("read x; exit 3", stdin=True, title="Nightly import")
        picture = self.page.locator("link[rel=icon]")
        self.site.until(run["id"], lambda run: run["status"] == "running")
        self.page.wait_for_function("/^● \\d:\\d\\d Nightly import$/.test(document.title)")
        running = picture.get_attribute("href")
        expect(self.page.locator("[data-connection]")).to_have_text("live")
        self.page.get_by_label("Standard input").press("Enter")
        self.wait_for_status("Failed")

        expect(self.page).to_have_title("✕ Nightly import")
        self.assertNotEqual(picture.get_attribute("href"), running)
        drawn = self.page.evaluate(
            "(src) => new Promise((done) => Object.assign(new Image(),"
            " { src, onload() { done(this.width > 0) }, onerror: () => done(false) }))",
            picture.get_attribute("href"),
        )
        self.assertTrue(drawn)

    def test_the_end_is_told_to_who_asked_and_looks_elsewhere(self):
        self.page.context.grant_permissions(["notifications"], origin=self.site.url)
        self.page.add_init_script(
            "window.told = []; window.Notification = class {"
            " static permission = 'granted'; static requestPermission = async () => 'granted';"
            " constructor(title, { tag }) { told.push([title, tag]) } close() {} };"
            " Object.defineProperty(document, 'hidden', { get: () => true });"
        )
        run = self.launch("read x", stdin=True, title="Nightly import")
        button = self.page.get_by_role("button", name="Notify me")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        self.page.reload()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(self.page.locator("[data-connection]")).to_have_text("live")
        self.page.get_by_label("Standard input").press("Enter")
        # `read` with no terminal takes the empty line.
        self.wait_for_status("Succeeded")

        self.assertEqual(self.page.evaluate("told"), [["Succeeded: Nightly import", run["id"]]])
        expect(button).to_have_count(0)
