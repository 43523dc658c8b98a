"""Events, stages, numbers, conversations and parallel tasks on the run's page."""

from playwright.sync_api import expect

from .. import browser
from .accessibility import LOOKS, overhang_of, problems_of
from .rich_case import DISPLAY, RichCase, bundle, png

setUpModule = browser.open_browser
tearDownModule = browser.close_browser


class EventTests(RichCase):
    def test_an_event_is_a_row_that_unfolds_to_its_json_and_its_line(self):
        self.script({"type": "odd", "data": {"nested": {"deeper": [1, 2]}, "text": "<b>x</b>"}})
        row = self.page.locator(".event-block")

        expect(row.locator(".event-type")).to_have_text("odd")
        row.locator("summary").first.click()
        expect(row.locator(".json")).to_contain_text("deeper: [ 1, 2 ]")
        row.get_by_role("button", name="Raw line").click()
        expect(row.locator(".raw-line")).to_contain_text('{"type": "odd", "data": {"nested"')

    def test_progress_has_a_bar_and_a_percentage(self):
        self.script({"type": "progress", "data": {"percent": 40, "message": "Read users.csv"}})
        row = self.page.locator(".event-block")

        expect(row.locator("progress")).to_have_js_property("value", 40)
        expect(row.locator(".percent")).to_have_text("40 %")
        expect(row.locator("summary .text")).to_have_text("message: Read users.csv")

    def test_what_was_unfolded_is_so_again_after_scrolling(self):
        self.script(
            {"type": "odd", "data": {"a": {"b": {}}}},
            *[{"type": "tick", "data": n} for n in range(600)],
        )
        self.page.keyboard.press("g")
        first = self.page.locator(".row[data-number='1'] .event-block")
        first.locator("summary").first.click()
        expect(first).to_have_attribute("open", "")
        self.page.keyboard.press("Shift+G")
        expect(self.page.locator(".row[data-number='601']")).to_be_visible()
        self.page.keyboard.press("g")

        expect(first).to_have_attribute("open", "")
        expect(first.locator(".json")).to_be_visible()

    def test_stages_with_how_they_ended(self):
        told = (("load", "pending", None), ("extract", "running", 0), ("extract", "completed", 100),
                ("check", "failed", None), ("transform", "running", 71))  # fmt: skip
        self.script(*[{"stage": a, "status": b, "progress": c} for a, b, c in told])
        stages = self.page.locator("[data-stages] .stage")

        expect(stages).to_have_count(4)
        for place, status in enumerate(("queued", "succeeded", "failed", "running")):
            expect(stages.nth(place).locator(".status")).to_have_attribute("data-status", status)
        expect(stages.nth(3)).to_contain_text("71 %")
        expect(stages.nth(1)).to_contain_text(" s")

    def test_numbers_told_again_and_again_are_drawn(self):
        self.script(
            *[{"type": "metrics", "data": {"step": n, "loss": 1 / (n + 1)}} for n in range(50)]
        )
        fold = self.page.locator("[data-series]")

        expect(fold.locator("> summary")).to_have_text("Numbers: loss 0.02")
        fold.locator("> summary").click()
        row = fold.locator(".series-row")
        expect(row).to_contain_text("max 1")
        expect(row).to_contain_text("50 values")
        row.locator("summary").first.click()
        expect(row.locator(".chart-picture path.line")).to_be_visible()

    def test_without_javascript_events_and_results_are_there(self):
        page = self.open(java_script_enabled=False)
        program = DISPLAY + 'print(\'{"type":"progress","data":{"percent":40,"message":"m"}}\')\n'
        run = self.site.launch(
            program + bundle(image__png=png(7, 7), text__plain="x"), kind="python", mode="notebook"
        )
        self.site.ended(run["id"], 60)
        page.goto(run["urls"]["page"])

        expect(page.locator(".event-block .percent")).to_have_text("40 %")
        expect(page.locator("img.result-image")).to_have_js_property("naturalWidth", 7)
        href = page.get_by_role("link", name="Download").get_attribute("href")
        self.assertTrue(href.endswith("download?mime=image%2Fpng"), href)


def said(type, **data) -> dict:
    return {"type": type, "data": data}


class ConversationTests(RichCase):
    """The page draws a conversation for agents; here a program tells what one would."""

    TOLD = (
        said("start", prompt="Count the rows."),
        said("thinking", thinking="Let me ", block=1), said("thinking", thinking="look.", block=1),
        said("text", text="I will **look** at ", block=2), said("text", text="the files.", block=2),
        said("tool_use", id="a", name="Bash", input={"command": "wc -l *.csv"}),
        said("tool_result", tool_use_id="a", content="3 orders.csv", is_error=False),
        said("tool_use", id="b", name="Task", input={"description": "Count"}),
        said("text", text="Counting.", block=3, parent_tool_use_id="b"),
        said("tool_result", tool_use_id="b", content="no", is_error=True),
        said("error_msg", error="overloaded", message="Trying again, 1 of 10.", retrying=True),
        said("text", text="<b>3</b> rows.", block=4),
        said("result", result="<b>3</b> rows.", cost=0.0123, num_turns=3, duration_ms=4200,
             usage={"input_tokens": 1200, "output_tokens": 34}),
        said("complete", status="success"),
    )  # fmt: skip

    def mount(self, page):
        """The conversation of the run that is shown, in the place of its log."""
        page.evaluate("""async () => {
            const { mountConversation } = await import("/static/runs/conversationview.js");
            const run = JSON.parse(document.querySelector("#run-json").textContent);
            const answer = await fetch(`${run.urls.chunks}?stream=event&limit=5000`);
            const place = document.createElement("div");
            const frame = document.querySelector("[data-frame]");
            frame.after(place);
            frame.hidden = true;
            window.asked = null;
            window.talk = mountConversation(place, { line: (number) => (window.asked = number) });
            window.events = (await answer.json()).items;
            window.talk.take(window.events);
        }""")  # fmt: skip

    def test_it_can_be_read_by_everybody(self):
        self.script(*self.TOLD)
        for scheme, width in LOOKS:
            page = self.open(color_scheme=scheme, viewport={"width": width, "height": 800})
            page.goto(self.page.url)
            page.wait_for_selector("[data-ready]")
            self.mount(page)
            for fold in page.locator(".talk summary").all():
                fold.click()
            with self.subTest(scheme):
                self.assertEqual(problems_of(page), [])
                self.assertLessEqual(overhang_of(page), 0)
            page.context.close()

    def test_an_agents_run_reads_as_a_conversation(self):
        self.script(*self.TOLD)
        self.mount(self.page)
        talk = self.page.locator(".talk").first

        expect(talk.locator("> .said")).to_have_count(8)
        expect(talk.locator(".prompt")).to_contain_text("Count the rows.")
        expect(talk.locator(".text strong").first).to_have_text("look")
        expect(talk.locator(".text").last).to_contain_text("<b>3</b> rows.")
        thinking = talk.locator(".thinking")
        expect(thinking.locator("summary")).to_have_text("Thinking · 12 characters")
        thinking.locator("summary").click()
        expect(thinking.locator(".prose")).to_have_text("Let me look.")
        tool = talk.locator("> .tool").first
        expect(tool.locator("summary")).to_contain_text("wc -l *.csv")
        expect(tool.locator(".tool-result")).to_have_count(0)
        tool.locator("summary").click()
        expect(tool.locator(".tool-result")).to_have_text("3 orders.csv")
        expect(talk.locator("> .tool").nth(1)).to_have_attribute("data-status", "failed")
        expect(talk.locator(".subagent .text")).to_contain_text("Counting.")
        expect(talk.locator(".error")).to_contain_text("Trying again, 1 of 10.")
        end = "Finished$0.0123" + "3 turns" + "4.2 s" + "1,200 tokens in (0 cached), 34 out"
        expect(talk.locator(".end-line")).to_have_text(end)

    def test_a_line_of_it_leads_to_the_log(self):
        self.script(*self.TOLD)
        self.mount(self.page)
        self.page.locator(".said.tool .to-line").first.click()

        self.assertEqual(self.page.evaluate("asked"), 6)

    def test_it_is_as_it_was_at_a_time(self):
        self.script(*self.TOLD)
        self.mount(self.page)
        expect(self.page.locator(".end-line")).to_be_visible()
        self.page.evaluate("""() => {
            const move = (event, n) => ({ ...event, seq: event.seq + 1000, t: 100 + n });
            const later = events.map(move);
            talk.take(later);
            talk.show(106);
        }""")  # fmt: skip
        tools = self.page.locator(".talk > .tool")

        expect(tools).to_have_count(3)
        expect(tools.nth(2)).to_have_attribute("data-status", "ok")
        self.page.evaluate("talk.show(105)")
        expect(tools.nth(2)).to_have_attribute("data-status", "running")
        self.page.evaluate("talk.show(Infinity)")
        expect(self.page.locator(".end-line")).to_have_count(2)

    def test_ten_thousand_events_are_few_elements(self):
        self.script({"type": "start", "data": {"prompt": "p"}})
        self.mount(self.page)
        self.page.evaluate("""() => {
            const tell = (seq, type, data) =>
                ({ seq, t: seq, line: seq, task: 0, stream: "event", data: { type, data } });
            const many = [];
            for (let n = 2; n < 10_000; n += 2) {
                many.push(tell(n, "tool_use", { id: `${n}`, name: "Bash", input: {} }));
                many.push(tell(n + 1, "tool_result", { tool_use_id: `${n}`, content: "x" }));
            }
            talk.take(many);
        }""")  # fmt: skip
        said = self.page.locator(".talk > .said")

        expect(said).to_have_count(301)
        expect(said.first).to_contain_text("Prompt")
        self.page.get_by_role("button", name="4,699 earlier").click()
        expect(said).to_have_count(601)
        self.assertLess(self.page.locator("*").count(), 8_000)

    def test_it_fits_narrow_pages(self):
        page = self.open(viewport={"width": 400, "height": 700})
        run = self.script(
            said("start", prompt="x" * 300), said("text", text="`y`" * 200, block=1),
            said("tool_use", id="a", name="N" * 90, input={"command": "z " * 90}),
        )  # fmt: skip
        self.visit(run, page)
        self.mount(page)
        expect(page.locator(".said")).to_have_count(3)
        for selector in ("html", ".conversation"):
            fits = page.locator(selector).evaluate("e => e.scrollWidth <= e.clientWidth")
            self.assertTrue(fits, selector)


class LaneTests(RichCase):
    TASKS = ("for n in 1 2 3; do echo one $n; done; exit 3", "echo two >&2", "seq 100")

    def tasks(self, programs=TASKS, page=None):
        run = self.site.launch(list(programs), kind="parallel")
        self.site.ended(run["id"])
        self.visit(run, page)

    def test_tasks_lie_side_by_side_each_with_its_end(self):
        self.tasks()
        lanes = self.page.locator(".lane")

        expect(lanes).to_have_count(3)
        tops = {lanes.nth(place).bounding_box()["y"] for place in range(3)}
        self.assertEqual(len(tops), 1)
        expect(lanes.nth(0).locator(".lane-head .status")).to_have_attribute(
            "data-status", "failed"
        )
        expect(lanes.nth(0).locator(".lane-head")).to_contain_text("exit 3")
        expect(lanes.nth(0).locator(".lane-head")).to_contain_text("3 lines")
        expect(lanes.nth(0).locator(".row .text")).to_have_text(["one 1", "one 2", "one 3"])
        expect(lanes.nth(1).locator(".row .text")).to_have_text(["two"])
        expect(lanes.nth(2).locator(".row .text").last).to_have_text("100")

    def test_one_lane_is_enlarged_and_let_go_again(self):
        self.tasks()
        lanes = self.page.locator(".lane")
        lanes.nth(1).get_by_role("button", name="Enlarge task 2").click()

        expect(self.page.locator(".lane:visible")).to_have_count(1)
        self.page.keyboard.press("Escape")
        expect(self.page.locator(".lane:visible")).to_have_count(3)

    def test_many_tasks_scroll_and_only_those_seen_are_opened(self):
        self.tasks([f"echo task {n}" for n in range(1, 41)])
        lanes = self.page.locator(".lane")

        expect(lanes).to_have_count(40)
        expect(lanes.first.locator(".row .text")).to_have_text(["task 1"])
        self.assertLess(self.page.locator(".lane .log").count(), 30)
        lanes.last.scroll_into_view_if_needed()
        expect(lanes.last.locator(".row .text")).to_have_text(["task 40"])

    def test_tabs_where_there_is_no_room(self):
        page = self.open(viewport={"width": 400, "height": 700})
        self.tasks(page=page)
        tabs = page.locator(".lane-tabs [role=tab]")

        expect(tabs).to_have_count(3)
        expect(page.locator(".lane:visible")).to_have_count(1)
        tabs.nth(0).focus()
        page.keyboard.press("ArrowRight")
        expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
        expect(page.locator(".lane:visible .row .text")).to_have_text(["two"])
