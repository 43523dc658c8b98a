"""The pages in a real browser, on a real server, with real programs."""

import re

from playwright.sync_api import expect

from .. import browser
from ..browser import BrowserTestCase
from ..site import PASSWORD

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

TICKS = "for i in 1 2 3 4 5 6; do echo tick $i; sleep 0.3; done"
HOSTILE = r"""
printf '<script>alert(1)</script><img src=x onerror=alert(1)>\n'
printf '\033[31mred\033[0m \033]0;title\007osc\n'
printf 'abc \xe2\x80\xae txt.exe\n'
for i in 10 50 100; do printf '%s%%\r' $i; sleep 0.05; done; printf '\n'
echo '{"type": "<b>x</b>", "data": {"a": "</script><script>alert(1)</script>", "percent": 40}}'
printf '\xff\xfe bytes\n'
echo problem >&2
printf 'no newline at the end'
"""


class WatchTests(BrowserTestCase):
    def test_a_launch_is_watched_as_it_prints_and_stays_after_a_reload(self):
        page = self.page
        page.goto("/")
        page.fill("#program", TICKS)
        page.press("#program", "Control+Enter")
        page.wait_for_url("**/runs/*/")

        expect(page.get_by_text("tick 2", exact=True)).to_be_visible()
        self.wait_for_status("Running")
        expect(page.locator("[data-connection]")).to_have_text("live")
        self.wait_for_status("Succeeded")
        lines = [f"tick {n}" for n in range(1, 7)]
        expect(self.rows()).to_have_text(lines)
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        page.reload()
        page.wait_for_selector("[data-ready]")
        self.assertEqual(self.texts(), lines)

    def test_what_the_server_drew_goes_on_live(self):
        run = self.launch("printf 'one '; read word; echo two; echo three", stdin=True)
        late = self.open()
        expect(self.page.locator(".row .text")).to_have_text(["one "])
        self.visit(run, late)
        expect(late.locator(".row .text")).to_have_text(["one "])
        expect(late.locator("[data-connection]")).to_have_text("live")
        late.get_by_label("Standard input").press("Enter")

        for page in (self.page, late):
            expect(page.locator(".row .text")).to_have_text(["one two", "three"])

    def test_without_websockets_events_are_followed(self):
        self.page.add_init_script(
            "window.WebSocket = class { close() {} constructor() "
            "{ setTimeout(() => this.onclose({ code: 1006 })) } }"
        )
        self.launch(TICKS)

        self.wait_for_status("Succeeded")
        expect(self.rows()).to_have_text([f"tick {n}" for n in range(1, 7)])

    def test_cancel(self):
        self.launch("echo begun; sleep 60")
        expect(self.page.get_by_text("begun", exact=True)).to_be_visible()
        self.page.get_by_role("button", name="Cancel").click()

        self.wait_for_status("Cancelled")

    def test_stdin(self):
        self.launch("read name; echo hello $name; cat; echo end", stdin=True)
        line = self.page.get_by_label("Standard input")
        expect(self.page.locator("[data-connection]")).to_have_text("live")
        line.fill("world")
        line.press("Enter")
        expect(self.page.get_by_text("hello world")).to_be_visible()
        self.page.get_by_role("button", name="End input").click()

        self.wait_for_status("Succeeded")
        expect(self.rows()).to_have_text(["hello world", "end"])

    def test_hostile_output_is_text_live_and_from_the_server(self):
        self.launch(HOSTILE)
        self.wait_for_status("Succeeded")
        expect(self.rows().get_by_text("no newline at the end")).to_be_visible()
        expect(self.rows().get_by_text("problem")).to_be_visible()
        live = self.texts()
        self.page.reload()
        self.page.wait_for_selector("[data-ready]")

        self.assertEqual(self.texts(), live)
        self.assertIn("<script>alert(1)</script><img src=x onerror=alert(1)>", live)
        self.assertIn("red osc", live)
        self.assertIn("abc ‹U+202E› txt.exe", live)
        self.assertIn("100%", live)
        self.assertIn("no newline at the end", live)

    def test_streams_are_filtered(self):
        self.launch('echo out; echo err >&2; echo \'{"type": "note"}\'; exit 3')
        self.wait_for_status("Failed")
        self.page.get_by_role("button", name="stderr").click()
        self.page.get_by_role("button", name="event").click()

        expect(self.rows()).to_have_text(["out"])
        expect(self.page.locator("[data-error]")).to_contain_text("3")

    def test_parallel_tasks_have_status_exit_code_and_output_of_their_own(self):
        self.launch(["echo one", "echo two; exit 3"], kind="parallel")
        self.wait_for_status("Failed")
        for lane, text in enumerate(("one", "two")):
            expect(self.page.locator(f"[data-lane='{lane}'] .row .text")).to_have_text([text])
        self.page.get_by_role("button", name="one log").click()
        tab = self.page.get_by_role("button", name="Task 2")
        expect(tab).to_contain_text("Failed")
        expect(tab).to_contain_text("exit 3")
        tab.click()

        expect(self.page.locator("[data-frame] .row .text")).to_have_text(["two"])

    def test_stages_are_a_board(self):
        program = (
            "import json\nfor s in ('extract', 'load'):\n"
            "    print(json.dumps({'stage': s, 'status': 'completed', 'progress': 100}))\n"
            "print(json.dumps({'stage': 'check', 'status': 'started', 'progress': 40}))"
        )
        self.launch(program, kind="python")
        self.wait_for_status("Succeeded")

        expect(self.page.locator(".stage")).to_have_count(3)
        expect(self.page.locator(".stage").last).to_contain_text("40 %")


class TroubleTests(BrowserTestCase):
    def test_a_server_that_comes_back_is_found_again(self):
        self.expected = ["WebSocket connection", "ERR_CONNECTION_"]
        self.launch("echo begun; sleep 60")
        connection = self.page.locator("[data-connection]")
        expect(connection).to_have_text("live")
        port = self.site.port
        self.site.stop()
        expect(connection).to_have_text(re.compile("reconnecting|cannot be reached"))
        expect(self.rows().first).to_have_text("begun")
        self.site.start(port)

        expect(self.page.locator(".run-line .status")).to_have_text("Cancelled", timeout=30_000)
        expect(connection).to_have_text("")
        expect(self.rows().first).to_have_text("begun")

    def test_a_log_out_in_another_tab_is_said_and_what_is_there_stays(self):
        page = self.open(storage_state=None)
        page.goto("/accounts/login/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/")
        run = self.site.launch("echo begun; sleep 60")
        self.visit(run, page)
        other = page.context.new_page()
        other.goto("/account/")
        other.locator("summary", has_text="admin").click()
        other.get_by_role("button", name="Log out").click()

        expect(page.locator("[data-connection]")).to_contain_text("log in again", timeout=30_000)
        expect(page.locator(".row .text")).to_have_text(["begun"])

    def test_a_run_that_was_deleted_meanwhile_is_said(self):
        self.expected = ["404"]
        run = self.site.launch("seq 1 50000")
        self.site.ended(run["id"])
        self.visit(run)
        expect(self.rows().first).to_have_text("1")
        self.site.request("DELETE", f"/api/runs/{run['id']}")
        self.page.evaluate("document.querySelector('[data-log]').scrollTop = 600_000")

        expect(self.page.locator("[data-connection]")).to_contain_text("deleted on")

    def test_a_network_that_is_gone_is_said(self):
        self.expected = ["ERR_INTERNET_DISCONNECTED"]
        run = self.site.launch("seq 1 50000")
        self.site.ended(run["id"])
        self.visit(run)
        self.page.context.set_offline(True)
        self.page.evaluate("document.querySelector('[data-log]').scrollTop = 600_000")
        expect(self.page.locator("[data-connection]")).to_contain_text("cannot be reached")
        self.page.context.set_offline(False)

        expect(self.rows().get_by_text("30001", exact=True)).to_be_visible(timeout=15_000)
        expect(self.page.locator("[data-connection]")).to_have_text("")


class ReplayTests(BrowserTestCase):
    def test_play_pause_step_and_back_to_the_end(self):
        run = self.launch(TICKS)
        self.wait_for_status("Succeeded")
        page = self.page
        self.visit(run)
        page.keyboard.press("Space")
        expect(page.get_by_text("tick 6", exact=True)).to_have_count(0)
        expect(page.get_by_text("tick 2", exact=True)).to_be_visible()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Play")).to_be_visible()
        shown = len(self.texts())
        self.assertIn(shown, (2, 3, 4))

        page.keyboard.press(".")
        expect(page.locator(".row")).to_have_count(shown + 1)
        page.keyboard.press(",")
        expect(page.locator(".row")).to_have_count(shown)
        page.get_by_role("button", name="End").click()
        expect(page.locator(".row")).to_have_count(6)

    def test_seeking_draws_what_came_before(self):
        run = self.launch("echo a; sleep 0.5; echo b; sleep 0.5; echo c")
        self.wait_for_status("Succeeded")
        self.visit(run)
        self.page.get_by_label("Position in the recording").evaluate(
            "(bar) => { bar.value = bar.max * 0.75; bar.dispatchEvent(new Event('change')) }"
        )

        expect(self.page.locator(".row")).to_have_count(2)

    def test_back_in_time_while_the_recording_goes_on(self):
        self.launch("for i in $(seq 1 40); do echo tick $i; sleep 0.1; done")
        page = self.page
        expect(page.get_by_text("tick 8", exact=True)).to_be_visible()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_text("tick 8", exact=True)).to_have_count(0)
        page.keyboard.press("l")
        self.wait_for_status("Succeeded")

        expect(self.rows().last).to_have_text("tick 40")


class OtherPageTests(BrowserTestCase):
    def test_results_are_images_and_frames(self):
        program = (
            "from IPython.display import HTML, SVG, display\n"
            "display(SVG(\"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>\"))\n"
            "display(HTML(\"<b style='color: red'>bold</b>\"))\n"
            "display(HTML(\"<script>parent.document.title = 'owned'</script>\"))\n1/0"
        )
        self.expected = ["Blocked script execution"]
        run = self.launch(program, kind="python", mode="notebook")
        self.wait_for_status("Failed")
        for _ in range(2):
            image = self.page.locator("img.result-image")
            expect(image).to_have_js_property("naturalWidth", 9)
            frame = self.page.frame_locator("iframe.result-frame").first
            expect(frame.locator("b")).to_have_css("color", "rgb(255, 0, 0)")
            expect(self.page.locator(".error-title")).to_contain_text("ZeroDivisionError")
            self.assertNotEqual(self.page.title(), "owned")
            self.visit(run)

    def test_the_list_is_live(self):
        self.page.goto("/runs/")
        run = self.site.launch("echo from elsewhere", title="Launched elsewhere")
        row = self.page.locator(f"[data-run='{run['id']}']")

        expect(row).to_contain_text("Launched elsewhere")
        expect(row).to_contain_text("Succeeded")
        expect(row).to_contain_text("from elsewhere")

    def test_an_example_fills_the_form(self):
        self.page.goto("/")
        self.page.get_by_role("link", name="Three tasks in parallel").click()

        expect(self.page.locator("[name=task]:visible")).to_have_count(3)
        self.page.get_by_role("button", name="Add a task").click()
        expect(self.page.locator("[name=task]:visible")).to_have_count(4)
        self.page.locator("[data-submit]").click()
        self.page.wait_for_url("**/runs/*/")
        expect(self.page.locator("[data-task-row]")).to_have_count(3)

    def test_without_javascript(self):
        page = self.open(java_script_enabled=False)
        page.goto("/")
        page.locator("#kind-python").check(force=True)
        page.fill("#program", "print('plain')")
        page.locator("[data-submit]").click()
        page.wait_for_url("**/runs/*/")
        run = page.url.rstrip("/").rpartition("/")[2]
        self.site.ended(run)
        page.reload()

        self.assertEqual(self.texts(page), ["plain"])
        expect(page.locator("[data-player]")).to_be_hidden()

    def test_narrow_pages_do_not_scroll_sideways(self):
        page = self.open(viewport={"width": 360, "height": 640})
        run = self.site.launch("echo " + "wide " * 200)
        for address in ("/", "/runs/", "/account/", run["urls"]["page"]):
            page.goto(address)
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), 360, address)

    def test_the_admin_and_the_api_description_work_under_the_policy(self):
        for address in ("/admin/", "/admin/runs/run/", "/admin/auth/user/add/", "/api/docs"):
            answer = self.page.goto(address, wait_until="load")
            self.assertEqual(answer.status, 200, address)
