"""Replay in a real browser: the bar, its keys, and the way back to live."""

import re
import time

from playwright.sync_api import expect

from .. import browser
from ..browser import BrowserTestCase

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

SPARSE = "for i in 1 2 3 4 5; do echo tick $i; sleep 0.6; done"
STEADY = "for i in $(seq 1 400); do echo tick $i; sleep 0.05; done"
STAGED = """
import json, time
for stage in ("extract", "transform", "load"):
    print(json.dumps({"stage": stage, "status": "started"}), flush=True)
    time.sleep(0.5)
    print(stage, "done", flush=True)
"""


class ReplayCase(BrowserTestCase):
    runs = {}

    def ended(self, program, **fields):
        """A run of this program that has ended; one for all tests."""
        if (self.site.url, program) not in self.runs:
            run = self.site.launch(program, **fields)
            self.runs[self.site.url, program] = self.site.ended(run["id"])
        return self.runs[self.site.url, program]

    def recorded(self, program, query="", **fields):
        run = self.ended(program, **fields)
        self.visit(run, query=query)
        return run

    def time_of(self, text):
        """A moment behind the chunk of SPARSE that holds it."""
        chunks = self.site.chunks(self.ended(SPARSE)["id"])
        return next(chunk["t"] for chunk in chunks if text in chunk["text"]) + 0.1

    @property
    def bar(self):
        return self.page.locator("[data-player]")

    @property
    def seek(self):
        return self.page.get_by_label("Position in the recording")

    def position(self):
        return float(self.seek.input_value())

    def expect_last(self, text):
        expect(self.page.locator(".row .text").last).to_have_text(text)

    def expect_done(self, *texts):
        """The stages that are over by what is shown."""
        done = self.page.locator(".row .text").get_by_text(re.compile(" done$"))
        expect(done).to_have_text(list(texts))

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def until(self, condition, seconds=15):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            self.page.wait_for_timeout(20)


class PlayTests(ReplayCase):
    def test_sixteen_times_as_fast(self):
        self.recorded(SPARSE, query="?t=0")
        self.page.get_by_label("Speed").select_option("16")
        self.page.get_by_label("Idle time").select_option("0")
        expect(self.page.locator(".row")).to_have_count(0)
        began = time.monotonic()
        self.page.get_by_role("button", name="Play").click()
        self.expect_last("tick 5")
        expect(self.page.get_by_role("button", name="Play from the start")).to_be_visible()

        self.assertLess(time.monotonic() - began, 2.5)
        self.assertEqual(self.texts(), [f"tick {n}" for n in range(1, 6)])

    def test_the_address_says_where_to_begin(self):
        t = self.time_of("tick 2")
        self.recorded(SPARSE, query=f"?t={t:.6f}")
        self.expect_last("tick 2")
        expect(self.bar).to_have_attribute("data-state", "paused")
        self.assertAlmostEqual(self.position(), t, places=5)
        expect(self.page.locator("[data-position]")).to_have_text(f"0:0{int(t * 10) / 10:.1f}")

    def test_the_address_may_say_to_play(self):
        self.recorded(SPARSE, query=f"?t={self.time_of('tick 4'):.6f}&play=1")
        self.expect_last("tick 5")

    def test_a_step_both_ways_and_a_tenth(self):
        self.recorded(SPARSE, query=f"?t={self.time_of('tick 2'):.6f}")
        self.expect_last("tick 2")
        self.press(".", ".")
        self.expect_last("tick 4")
        self.press(",", ",", ",")
        self.expect_last("tick 1")
        self.press("9")
        self.until(lambda: self.position() > 2)
        self.press("0")
        expect(self.page.locator("[data-position]")).to_have_text("0:00.0")

    def test_the_range_takes_the_keys_of_the_page(self):
        self.recorded(SPARSE, query=f"?t={self.time_of('tick 2'):.6f}")
        self.seek.focus()
        self.press("Home", ".")
        self.expect_last("tick 1")
        self.press("Space")
        expect(self.bar).to_have_attribute("data-state", "playing")
        self.press("End")
        expect(self.bar).to_have_attribute("data-state", "live")
        self.expect_last("tick 5")
        self.assertIn(" of 0:0", self.seek.get_attribute("aria-valuetext"))

    def test_faster_and_slower_by_keys(self):
        self.recorded("echo one")
        speed = self.page.get_by_label("Speed")
        self.press("+", "+")
        expect(speed).to_have_value("4")
        self.press("-")
        expect(speed).to_have_value("2")
        self.press("-", "-", "-", "-")
        expect(speed).to_have_value("0.5")

    def test_idle_time_is_remembered(self):
        run = self.recorded("echo one")
        self.page.get_by_label("Idle time").select_option("5")
        self.visit(run)
        expect(self.page.get_by_label("Idle time")).to_have_value("5")

    def test_a_run_without_output_and_one_of_an_instant(self):
        self.recorded("true")
        self.press("Space")
        expect(self.bar).to_have_attribute("data-state", "live")
        self.press(",", ".", "0", "[", "]", "l")
        expect(self.bar).to_have_attribute("data-state", "live")
        self.assertEqual(self.texts(), [])

    def test_all_keys_are_listed(self):
        self.recorded("echo one")
        self.press("?")
        listed = self.page.get_by_role("dialog", name="Keys")
        expect(listed).to_be_visible()
        keys = set(listed.locator("kbd").all_text_contents())
        self.assertLessEqual({"space", "←", ",", "[", "l", "g", "/", "j", "Esc", "?"}, keys)
        self.press("Space")
        expect(listed).to_be_hidden()
        self.assertEqual(self.bar.get_attribute("data-state"), "live")


class SeekTests(ReplayCase):
    def test_the_hand_is_followed_while_it_moves(self):
        self.recorded(SPARSE)
        box = self.seek.bounding_box()
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] - 8, middle)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=5)
        expect(self.page.get_by_text("tick 5", exact=True)).to_have_count(0)
        self.page.mouse.move(box["x"] + 8, middle, steps=5)
        expect(self.page.get_by_text("tick 2", exact=True)).to_have_count(0)
        self.page.mouse.up()
        expect(self.bar).to_have_attribute("data-state", "paused")
        self.assertLess(self.position(), 0.2)

    def test_a_click_is_sought_once(self):
        run = self.site.launch("for n in 1 2 3; do echo $n; sleep 0.1; done")
        self.site.ended(run["id"])
        self.visit(run)
        asked = []
        self.page.on("request", lambda request: "?at=" in request.url and asked.append(request.url))
        bar = self.page.locator("[data-seek]").bounding_box()
        self.page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)

        expect(self.rows().last).to_have_text("2")
        self.assertEqual(len(asked), 1, asked)

    def test_anywhere_in_a_long_run(self):
        run = self.recorded("seq 1 200000")
        t = next(chunk["t"] for chunk in self.site.chunks(run["id"]) if chunk["line"] > 100_000)
        self.until(lambda: float(self.seek.get_attribute("max")) >= t)
        self.page.evaluate(
            "(t) => { const seek = document.querySelector('[data-seek]'); seek.value = t;"
            " seek.dispatchEvent(new Event('change')) }",
            t,
        )
        # Its number: a chunk may end in the middle of a line.
        last = self.page.locator(".row").last
        expect(last).to_have_attribute("data-number", re.compile(r"^1\d{5}$"))
        self.press(".")
        self.press("End", "l")
        self.expect_last("200000")


class TimelineTests(ReplayCase):
    def test_output_over_time_is_drawn(self):
        self.recorded(SPARSE)
        outline = self.page.locator(".density-all")
        expect(outline).to_have_attribute("d", re.compile(r"^M0 100V.*Z$"))
        self.assertGreaterEqual(outline.get_attribute("d").count("V0H"), 5)

    def test_markers_lead_to_their_times(self):
        self.recorded(STAGED, kind="python")
        markers = self.page.get_by_role("group", name="Markers").get_by_role("button")
        expect(markers).to_have_count(3)
        markers.nth(1).click()
        self.expect_done("extract done")
        self.press("]")
        self.expect_done("extract done", "transform done")
        self.press("[", "[")
        self.expect_done()
        expect(self.page.locator("[data-announce]")).to_contain_text("extract")

    def test_markers_by_the_keyboard_alone(self):
        self.recorded(STAGED, kind="python")
        markers = self.page.get_by_role("group", name="Markers").get_by_role("button")
        expect(markers).to_have_count(3)
        self.seek.focus()
        self.press("Tab")
        expect(markers.first).to_be_focused()
        expect(self.page.locator("[data-tip]")).to_contain_text("extract")
        self.press("ArrowRight", "ArrowRight", "ArrowRight")
        expect(markers.last).to_be_focused()
        expect(markers.last).to_have_attribute("tabindex", "0")
        self.press("Enter")
        self.expect_done("extract done", "transform done")
        self.press("Tab")
        expect(self.page.get_by_role("button", name="End")).to_be_focused()


class LiveTests(ReplayCase):
    def test_back_in_time_while_the_recording_goes_on(self):
        run = self.launch(STEADY)
        expect(self.page.get_by_text("tick 20", exact=True)).to_be_visible()
        expect(self.page.locator("[data-connection]")).to_have_text("live")
        live = self.page.get_by_role("button", name="Live")
        expect(live).to_have_attribute("aria-pressed", "true")
        box = self.seek.bounding_box()
        self.page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
        expect(self.page.get_by_text("tick 20", exact=True)).to_have_count(0)
        expect(live).to_have_attribute("aria-pressed", "false")
        shown = self.texts()
        length = float(self.seek.get_attribute("max"))
        self.until(lambda: float(self.seek.get_attribute("max")) > length)
        self.assertEqual(self.texts(), shown)

        self.press("l")
        expect(live).to_have_attribute("aria-pressed", "true")
        seen = self.site.run(run["id"])["last_seq"]
        expect(self.page.get_by_text(f"tick {seen}", exact=True)).to_be_visible()
        self.page.get_by_role("button", name="Cancel").click()
        self.wait_for_status("Cancelled")
        expect(self.page.get_by_role("button", name="End")).to_be_visible()

    def wait_for_length(self, seconds):
        """Until the recording is so much longer."""
        length = float(self.seek.get_attribute("max"))
        self.until(lambda: float(self.seek.get_attribute("max")) >= length + seconds)

    def test_the_picture_grows_with_the_run(self):
        self.launch(STEADY)
        expect(self.page.locator(".density-all")).to_have_attribute("d", re.compile("H"))
        length = float(self.seek.get_attribute("max"))
        self.until(lambda: float(self.seek.get_attribute("max")) > 2 * length + 1)
        self.until(lambda: self.drawn_until() > 800)
        self.page.get_by_role("button", name="Cancel").click()
        self.wait_for_status("Cancelled")

    def drawn_until(self):
        """Where the last output is drawn, of 1000."""
        path = self.page.locator(".density-all").get_attribute("d")
        steps = re.findall(r"V([\d.]+)H([\d.]+)", path)
        return max((float(x) for y, x in steps if float(y) < 100), default=0)

    def test_pause_stands_still_and_play_catches_up(self):
        self.launch(STEADY)
        expect(self.page.get_by_text("tick 10", exact=True)).to_be_visible()
        self.press("Space")
        expect(self.bar).to_have_attribute("data-state", "paused")
        self.wait_for_length(1)
        last = self.texts()[-1]
        self.wait_for_length(1)
        self.assertEqual(self.texts()[-1], last)
        self.page.get_by_label("Speed").select_option("16")
        self.press("Space")
        expect(self.bar).to_have_attribute("data-state", "live")
        self.until(lambda: self.texts()[-1] != last)
        numbers = [int(text.removeprefix("tick ")) for text in self.texts()]
        self.assertEqual(numbers, list(range(numbers[0], numbers[-1] + 1)))
        self.page.get_by_role("button", name="Cancel").click()
        self.wait_for_status("Cancelled")


class NarrowTests(ReplayCase):
    def test_the_bar_is_two_rows_on_a_telephone(self):
        run = self.ended(SPARSE)
        page = self.open(viewport={"width": 400, "height": 760}, has_touch=True)
        self.visit(run, page)
        box = page.locator("[data-player]").bounding_box()
        self.assertEqual(round(box["y"] + box["height"]), 760)
        self.assertLess(box["height"], 120)
        self.assertGreater(page.locator("[data-timeline]").bounding_box()["width"], 200)
        self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), 400)
        page.locator("[data-play]").tap()
        expect(page.locator("[data-player]")).to_have_attribute("data-state", "playing")
