"""The log of a run in a real browser: long, hostile, far away, and going on."""

import re

from playwright.sync_api import expect

from .. import browser
from ..browser import BrowserTestCase

setUpModule = browser.open_browser
tearDownModule = browser.close_browser

MOST_ELEMENTS = 300
LOG = "document.querySelector('[data-log]')"
# The number of the row at the top of the log; null where none is drawn.
TOP_ROW = """() => {
  const log = document.querySelector('[data-log]').getBoundingClientRect();
  const row = document.elementFromPoint(log.left + 5, log.top + 2)?.closest('.row');
  return row && Number(row.dataset.number);
}"""
# By hand: the page's policy forbids what wait_for_function does.
UNTIL = """async (wanted) => {
  const read = (%s), end = performance.now() + 15_000;
  while (read() !== wanted && performance.now() < end) await new Promise(requestAnimationFrame);
  return read();
}"""


class LogTestCase(BrowserTestCase):
    def scroll(self, top):
        self.page.evaluate(f"{LOG}.scrollTop = {top}")

    def until(self, read, wanted):
        self.assertEqual(self.page.evaluate(UNTIL % read, wanted), wanted)

    def wait_for_top_row(self, number):
        self.until(TOP_ROW, number)

    def top(self):
        return self.page.evaluate(f"{LOG}.scrollTop")

    def frames(self, count):
        """Let the browser draw so many times."""
        self.page.evaluate(
            "async (n) => { while (n--) await new Promise(requestAnimationFrame) }", count
        )

    def ended(self, program, **fields):
        """Open the page of a run that has ended."""
        run = self.site.launch(program, **fields)
        self.site.ended(run["id"])
        self.visit(run)
        return run

    def row(self, number):
        return self.page.locator(f".row[data-number='{number}']")


class LongLogTests(LogTestCase):
    def test_the_scroll_bar_leads_anywhere_with_few_elements(self):
        self.ended("seq 1 100000")
        rows = self.page.locator(".row")
        self.wait_for_top_row(1)
        height = self.page.evaluate(f"{LOG}.scrollHeight")
        self.assertEqual(height, 100_000 * 20)

        for number in (50_001, 99_001, 11, 75_001):
            self.scroll((number - 1) * 20)
            self.wait_for_top_row(number)
            expect(self.row(number).locator(".text")).to_have_text(str(number))
            self.assertLessEqual(rows.count(), MOST_ELEMENTS)
            self.assertEqual(self.page.evaluate(f"{LOG}.scrollHeight"), height)

        self.page.keyboard.press("Shift+G")
        expect(self.rows().last).to_have_text("100000")
        self.page.keyboard.press("g")
        expect(self.rows().first).to_have_text("1")

    def test_scrolling_on_and_back_leaves_no_line_out(self):
        self.ended("seq 1 30000")
        for pages in (range(0, 60), range(60, -1, -1)):
            for step in pages:
                number = 1 + step * 25
                self.scroll((number - 1) * 20)
                self.wait_for_top_row(number)
                drawn = [int(n) for n in self.texts()]
                self.assertEqual(drawn, list(range(drawn[0], drawn[0] + len(drawn))))

    def test_a_flood_is_followed_with_few_elements(self):
        self.launch("seq 1 300000; sleep 60")
        expect(self.rows().last).to_have_text("300000")
        self.assertLessEqual(self.page.locator(".row").count(), MOST_ELEMENTS)
        self.assertTrue(self.at_end())

        self.scroll(2000)
        self.wait_for_top_row(101)
        self.page.keyboard.press("Shift+G")
        expect(self.rows().last).to_have_text("300000")

    def at_end(self):
        return self.page.evaluate(f"{LOG}.scrollTop + {LOG}.clientHeight >= {LOG}.scrollHeight - 2")

    def test_someone_who_reads_further_up_is_not_moved(self):
        self.launch("seq 1 300; read word; seq 301 400; sleep 60", stdin=True)
        expect(self.rows().last).to_have_text("300")
        self.scroll(100)
        self.wait_for_top_row(6)
        self.page.get_by_label("Standard input").press("Enter")
        pill = self.page.get_by_role("button", name="↓ 100 new lines")
        expect(pill).to_be_visible()
        self.assertEqual(self.top(), 100)
        pill.click()

        expect(pill).to_be_hidden()
        expect(self.rows().last).to_have_text("400")
        self.assertTrue(self.at_end())

    def test_the_end_stays_in_sight_when_the_window_changes(self):
        self.launch("seq 1 300; read word; seq 301 400; sleep 60", stdin=True)
        expect(self.rows().last).to_have_text("300")
        for height in (900, 500):
            self.page.set_viewport_size({"width": 1280, "height": height})
            self.frames(3)
            self.assertTrue(self.at_end())
        self.page.get_by_label("Standard input").press("Enter")

        expect(self.rows().last).to_have_text("400")
        self.assertTrue(self.at_end())

    def test_the_end_is_not_behind_the_bar_on_a_telephone(self):
        self.page.set_viewport_size({"width": 400, "height": 800})
        self.launch("seq 1 300; sleep 60", title="A title that is long enough for two rows here")
        last = self.rows().last
        expect(last).to_have_text("300")
        end, bar = last.bounding_box(), self.page.locator("[data-player]").bounding_box()
        self.assertLessEqual(end["y"] + end["height"], bar["y"] + 1)

    def test_wrapped_lines_stay_where_they_are_read(self):
        self.ended("for n in range(1, 3001): print(n, 'w' * (n % 7 * 150))", kind="python")
        self.page.evaluate("location.hash = '#L1500'")
        expect(self.row(1500)).to_be_visible()
        place = self.row(1500).bounding_box()
        self.frames(30)  # earlier and later pages come meanwhile

        self.assertAlmostEqual(self.row(1500).bounding_box()["y"], place["y"], delta=1)
        before = self.row(1500).bounding_box()["height"]
        self.assertGreater(before, 20)
        self.page.get_by_role("button", name="wrap").click()
        expect(self.row(1500)).to_have_css("height", "20px")


class LineLinkTests(LogTestCase):
    def test_a_link_to_a_line_opens_there(self):
        run = self.site.launch("seq 1 50000")
        self.site.ended(run["id"])
        self.visit(run, query="#L43210")

        expect(self.row(43210)).to_be_visible()
        expect(self.page.locator(".row.marked")).to_have_count(1)

    def test_numbers_are_links_and_shift_makes_a_range(self):
        self.ended("seq 1 30")
        self.row(3).locator(".n").click()
        self.until("() => location.hash", "#L3")
        self.row(7).locator(".n").click(modifiers=["Shift"])

        self.until("() => location.hash", "#L3-L7")
        expect(self.page.locator(".row.marked")).to_have_count(5)

    def test_times(self):
        self.ended("echo a; sleep 0.3; echo b")
        time = self.row(2).locator(".t")
        self.page.locator("[data-time]").select_option("gap")
        expect(time).to_have_text(re.compile(r"^\+\d\.\d\d\d$"))
        self.page.locator("[data-time]").select_option("day")
        expect(time).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d\d\d$"))
        self.page.locator("[data-time]").select_option("off")
        expect(time).to_be_hidden()


class CopyTests(LogTestCase):
    COPIED = """() => {
      const data = new DataTransfer();
      const options = { clipboardData: data, bubbles: true, cancelable: true };
      document.querySelector('.row').dispatchEvent(new ClipboardEvent('copy', options));
      return data.getData('text/plain');
    }"""

    # From a character of one row's text to a character of another's.
    SELECT = """([first, start, last, end]) => {
      const node = (row) => {
        const text = document.querySelectorAll('.row .text')[row];
        return document.createTreeWalker(text, NodeFilter.SHOW_TEXT).nextNode();
      };
      getSelection().setBaseAndExtent(node(first), start, node(last), end);
    }"""

    def test_what_is_copied_is_what_the_program_wrote(self):
        self.ended(r"printf 'one\n\ttwo  \n\033[31mthree\033[0m\nfour\n'")
        self.page.evaluate(self.SELECT, [0, 1, 2, 3])

        self.assertEqual(self.page.evaluate(self.COPIED), "ne\n\ttwo  \nthr")

    def test_what_was_selected_stays_while_it_is_scrolled_away(self):
        self.ended("seq 1 2000")
        self.page.evaluate(self.SELECT, [4, 0, 6, 1])
        self.scroll(8000)
        self.wait_for_top_row(401)

        self.assertEqual(self.page.evaluate(self.COPIED), "5\n6\n7")


class FilterTests(LogTestCase):
    def test_a_filter_keeps_the_place(self):
        self.ended("for i in $(seq 1 4000); do echo out $i; echo err $i >&2; done")
        self.page.evaluate("location.hash = '#L4001'")
        expect(self.row(4001)).to_be_visible()
        seen = self.row(4001).locator(".text").text_content().split()[1]
        self.page.get_by_role("button", name="stderr").click()
        expect(self.page.locator(".row.stderr")).to_have_count(0)
        numbers = [int(text.split()[1]) for text in self.texts()]

        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertLess(abs(numbers[0] - int(seen)), 400)
        self.page.keyboard.press("Shift+G")
        expect(self.rows().last).to_have_text("out 4000")

    def test_what_arrives_is_filtered_too(self):
        self.launch("echo first; read word; echo out; echo err >&2; sleep 60", stdin=True)
        expect(self.rows()).to_have_text(["first"])
        self.page.get_by_role("button", name="stdout").click()
        expect(self.page.get_by_text("Nothing of the streams")).to_be_visible()
        self.page.get_by_label("Standard input").press("Enter")

        expect(self.rows()).to_have_text(["err"])


class HostileTests(LogTestCase):
    def test_ten_megabytes_without_a_newline(self):
        self.launch("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo after")
        self.wait_for_status("Succeeded")
        expect(self.rows().last).to_have_text("after")
        self.page.keyboard.press("g")
        more = self.page.locator(".more")
        expect(more).to_have_text("… 9,990,000 more characters")
        more.click()
        expect(more).to_have_text("… 9,890,000 more characters")

    def test_a_long_line_that_is_loaded_in_pages_and_unfolded_bit_by_bit(self):
        self.ended("head -c 3000000 /dev/zero | tr '\\0' x; echo; seq 5000")
        more = self.page.locator(".more")
        length = f"{LOG}.querySelector('.text').textContent.length"
        expect(more).to_have_text("… 2,990,000 more characters")
        for left in ("2,890,000", "2,790,000"):
            more.press("Enter")
            expect(more).to_have_text(f"… {left} more characters")
        unfolded = self.page.evaluate(length)
        self.page.keyboard.press("G")
        expect(more).to_have_count(0)
        self.page.keyboard.press("g")
        expect(more).to_have_text("… 2,790,000 more characters")
        self.assertEqual(self.page.evaluate(length), unfolded)

    def test_an_unfolded_line_that_is_written_over_shows_what_is_there_now(self):
        program = "printf %020000d 1; read go; printf '\\rshort\\033[K\\n'"
        run = self.launch(program, stdin=True)
        more = self.page.locator(".more")
        more.click()
        expect(more).to_have_count(0)
        with self.site.socket(run["id"]) as socket:
            socket.recv(10)
            socket.send('{"type": "stdin", "task": 0, "text": "go\\n"}')
            self.wait_for_status("Succeeded")
        expect(self.rows()).to_have_text(["short"])

    def test_a_bar_that_is_drawn_over_for_ever_asks_for_nothing(self):
        program = (
            "import sys\nfor n in range(12_000): sys.stdout.write(f'{n} ' + 'x' * 1000 + '\\r')\n"
            "sys.stdout.write('done\\033[K\\n')\nsys.stdout.flush()\nimport time; time.sleep(60)"
        )
        asked = []
        self.page.on("request", lambda request: asked.append(request.url))
        self.launch(program, kind="python")
        expect(self.rows()).to_have_text(["done"])

        self.frames(40)
        self.assertLess(len([url for url in asked if "/chunks?before" in url]), 10)

    def test_a_million_escapes(self):
        program = (
            r"import sys; sys.stdout.write('\x1b[31m\x1b[1m\x1b[0m\x1b[2K' * 250_000 + 'end\n')"
        )
        self.launch(program, kind="python")
        self.wait_for_status("Succeeded")

        expect(self.rows().last).to_have_text("end")

    def test_links_are_only_those_of_the_web(self):
        link = r"\033]8;;javascript:alert(1)\007click\033]8;;\007"
        self.ended(f"printf 'javascript:alert(1) {link} https://example.org/ \\n'")
        links = self.page.locator(".row .text a")

        expect(links).to_have_count(1)
        expect(links).to_have_attribute("href", "https://example.org/")
        expect(links).to_have_attribute("rel", "noopener noreferrer nofollow")

    def test_raw_shows_what_is_obeyed_otherwise(self):
        self.ended(r"printf '\033[31mred\033[0m 10%%\r20%%\n'")
        expect(self.rows()).to_have_text(["20% 10%"])
        self.page.get_by_role("button", name="raw").click()

        expect(self.rows()).to_have_text(["␛[31mred␛[0m 10%␍20%"])
