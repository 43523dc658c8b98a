"""The run's page in a real headless Chromium: frames, input, memory, first paint, seeking.

browser.js measures inside the page; here it is opened, driven and asked.
"""

import random
import statistics
import time
from collections import Counter
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import CDPSession, Error, Page, sync_playwright

from tests.browser import CHROMIUM, FLAGS

from . import programs
from .live import a_site, seconds_of
from .logs import CHUNKS, QUICK_CHUNKS, a_log
from .servers import Failed, Site
from .table import Measure, Row, percentile

SCRIPT = Path(__file__).with_name("browser.js")
VIEWPORT = {"width": 1440, "height": 900}
FLOOD_RATE = 10_000
BURSTS = 100  # a second; each line is flushed
FLOOD_SECONDS, QUICK_FLOOD_SECONDS = 30, 10
INPUT_EVERY = 0.3
# Not in step with the frames.
PACED_RATE = 23
LOADS = 5
SEEKS = 20
PATIENCE_MS = 30_000

FLOOD = """\
import sys, time
print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic()
for number in range({lines}):
    if number % {burst} == 0:
        time.sleep(max(0, begin + number / {rate} - time.monotonic()))
    sys.stdout.write(f"{{number:08}} INFO worker-7 handled request {{number}} in 12 ms\\n")
    sys.stdout.flush()
"""


# --- a browser --------------------------------------------------------------------


class Pages:
    """A browser in which somebody is logged in; a new context has an empty cache."""

    def __init__(self, browser, site: Site, problems: list[str]):
        self._browser, self._url = browser, f"http://127.0.0.1:{site.port}"
        self._problems = problems
        name, value = site.log_in().split("=", 1)
        self._cookie = {"name": name, "value": value, "url": self._url}

    def context(self):
        context = self._browser.new_context(base_url=self._url, viewport=VIEWPORT)
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies([self._cookie])
        context.add_init_script(path=SCRIPT)
        return closing(context)

    def open(self, context, path: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: self._problems.append(str(error)))
        page.on("console", self._heard)
        page.goto(path)
        page.wait_for_selector("[data-run][data-ready]")
        return page

    def _heard(self, message) -> None:
        if message.type in ("error", "warning"):
            self._problems.append(f"{message.text} ({message.location.get('url')})")


@contextmanager
def pages_of(site: Site):
    if not CHROMIUM:
        raise Failed("needs Chromium: install chromium and measure again")
    problems: list[str] = []
    try:
        with sync_playwright() as playwright:
            options = {"executable_path": CHROMIUM, "args": FLAGS}
            with closing(playwright.chromium.launch(**options)) as browser:
                yield Pages(browser, site, problems)
    except Error as error:
        raise Failed(f"the browser: {error}; the page: {problems}") from error
    if problems:
        raise Failed(f"the page: {problems[0]}")


def start(page: Page) -> None:
    """Tell a program that waits for it to begin."""
    page.fill("[data-stdin] [name=text]", "go")
    page.click("[data-stdin] button:not([type])")
    page.evaluate("document.activeElement.blur()")


# --- a flood ----------------------------------------------------------------------


class Meter:
    """What Chromium itself counts of a page."""

    def __init__(self, page: Page):
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def read(self) -> dict[str, float]:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        read = {metric["name"]: metric["value"] for metric in metrics}
        return read | {"elements": self._page.evaluate("bench.elements()")}

    def collect_garbage(self) -> None:
        self._session.send("HeapProfiler.collectGarbage")


def press(page: Page) -> None:
    """A key, and a click that the page answers: a menu opens or closes."""
    page.keyboard.press("Shift")
    page.click("details.menu:last-child summary")


def watch(page: Page, meter: Meter, seconds: float) -> list[dict]:
    """Press something now and then; what the meter reads each second."""
    read, began = [], time.monotonic()
    for turn in range(1, int(seconds / INPUT_EVERY) + 1):
        page.wait_for_timeout(max(0, (began + turn * INPUT_EVERY - time.monotonic()) * 1000))
        press(page)
        if time.monotonic() - began >= len(read):
            read.append(meter.read())
    return read


def take_flood(quick: bool) -> dict[str, float]:
    seconds = QUICK_FLOOD_SECONDS if quick else FLOOD_SECONDS
    lines = seconds * FLOOD_RATE
    program = FLOOD.format(lines=lines, rate=FLOOD_RATE, burst=FLOOD_RATE // BURSTS)
    with a_site() as site, pages_of(site) as pages, pages.context() as context:
        run = site.launch_ready(program)
        page = pages.open(context, run["urls"]["page"])
        meter = Meter(page)
        start(page)
        page.evaluate("bench.reaches(2)")
        page.evaluate("bench.clear()")
        read = watch(page, meter, seconds - 1)
        found = page.evaluate("bench.found()")
        site.wait_until(run, lambda now: now["finished_at"] is not None)
        page.evaluate(f"bench.reaches({lines + 1})")
        meter.collect_garbage()
        return (
            frame_findings(found["frames"], found["painted"])
            | input_findings(found["inputs"])
            | memory_findings(read, meter.read())
            | pixel_findings("flood", found["painted"])
        )


def frame_findings(frames: list[float], painted: list[dict]) -> dict[str, float]:
    began = frames[0]
    whole_seconds = int((frames[-1] - began) / 1000)
    counts = Counter(int((frame - began) / 1000) for frame in frames)
    each = [counts[second] for second in range(whole_seconds)]
    return {
        "flood_frames": statistics.median(each),
        "flood_frames_least": min(each),
        "flood_drawn": len({one["now"] for one in painted}) / whole_seconds,
        "flood_longest_frame": max(b - a for a, b in pairwise(frames)),
    }


def input_findings(inputs: list[dict]) -> dict[str, float]:
    shown = [one["shown"] for one in inputs if "shown" in one]
    return {
        "flood_handled_p99": percentile([one["handled"] for one in inputs], 99),
        "flood_input_p50": percentile(shown, 50),
        "flood_input_p99": percentile(shown, 99),
    }


def memory_findings(read: list[dict], last: dict) -> dict[str, float]:
    early = read[min(10, len(read) // 3)]
    passed = read[-1]["Timestamp"] - read[0]["Timestamp"]
    # Of the clock's time, but for the first: waiting for a core counts as being busy.
    shares = {
        f"flood_{name}_share": 100 * (read[-1][key] - read[0][key]) / passed
        for name, key in (
            ("cpu", "ThreadTime"), ("task", "TaskDuration"), ("script", "ScriptDuration"),
            ("layout", "LayoutDuration"), ("style", "RecalcStyleDuration"),
        )
    }  # fmt: skip
    return shares | {
        "flood_heap_early": early["JSHeapUsedSize"] / 1e6,
        "flood_heap_most": max(now["JSHeapUsedSize"] for now in read) / 1e6,
        "flood_heap_left": last["JSHeapUsedSize"] / 1e6,
        "flood_elements": max(now["elements"] for now in read),
        "flood_nodes_left": last["Nodes"],
    }


# --- from frame received to pixels --------------------------------------------------


def pixel_findings(name: str, painted: list[dict]) -> dict[str, float]:
    delays = [one["now"] - one["at"] for one in painted]
    return {
        f"{name}_pixels_p50": percentile(delays, 50),
        f"{name}_pixels_p99": percentile(delays, 99),
    }


def take_pixels(quick: bool) -> dict[str, float]:
    lines = PACED_RATE * seconds_of(quick)
    with a_site() as site, pages_of(site) as pages, pages.context() as context:
        run = site.launch_ready(programs.stamps(lines, PACED_RATE))
        page = pages.open(context, run["urls"]["page"])
        began = Meter(page).read()["NavigationStart"]
        start(page)
        page.evaluate(f"bench.reaches({lines + 1})")
        # The first comes while the page still answers to the hand that started it.
        painted = page.evaluate("bench.found()")["painted"][1:]
    since_print = [
        (began + one["now"] / 1000 - int(one["text"]) / 1e9) * 1000
        for one in painted
        if one["text"].isdigit()
    ]
    return pixel_findings("paced", painted) | {
        "print_pixels_p50": percentile(since_print, 50),
        "print_pixels_p99": percentile(since_print, 99),
    }


# --- a long log -----------------------------------------------------------------------


def paint_times(page: Page) -> dict[str, float]:
    page.evaluate("bench.wasPainted()")
    found = page.evaluate("bench.found()")
    found["shown"] = max(found["firstRow"], found["firstPaint"])
    return {name: found[name] for name in ("shown", "firstPaint", "firstByte", "ready")}


def first_paints(pages: Pages, path: str) -> dict[str, float]:
    again, new = [], []
    with pages.context() as context:
        for _ in range(LOADS + 1):
            with closing(pages.open(context, path)) as page:
                again.append(paint_times(page))
    for _ in range(LOADS):
        with pages.context() as context:
            new.append(paint_times(pages.open(context, path)))
    # The very first one met a cold server and an empty cache.
    again = again[1:]
    median = {key: statistics.median(one[key] for one in again) for key in again[0]}
    return {
        "first_row": median["shown"],
        "first_row_new": statistics.median(one["shown"] for one in new),
        "first_contentful": median["firstPaint"],
        "page_first_byte": median["firstByte"],
        "page_ready": median["ready"],
    }


def scroll_times(page: Page, lines: int) -> list[float]:
    script = "([share, lines]) => bench.scrollTo(share, lines)"
    return [page.evaluate(script, [random.random(), lines]) for _ in range(SEEKS)]


def bar_times(page: Page) -> list[float]:
    box = page.locator("[data-seek]").bounding_box()
    share, times = random.random(), []
    for _ in range(SEEKS):
        # Not where the handle is: a click on that moves nothing.
        share = (share + random.uniform(0.1, 0.9)) % 1
        page.evaluate("bench.forgetSeek()")
        x = box["x"] + box["width"] * (0.05 + 0.9 * share)
        page.mouse.click(x, box["y"] + box["height"] / 2)
        times.append(page.evaluate("bench.sought()"))
    return times


def take_long(quick: bool) -> dict[str, float]:
    lines = QUICK_CHUNKS if quick else CHUNKS
    with a_log(lines) as log, pages_of(log.site) as pages:
        path = f"/runs/{log.id}/"
        found = first_paints(pages, path)
        with pages.context() as context:
            page = pages.open(context, path)
            for name, times in (
                ("scroll", scroll_times(page, lines)),
                ("bar", bar_times(page)),
            ):
                found[f"seek_{name}_p50"] = percentile(times, 50)
                found[f"seek_{name}_p95"] = percentile(times, 95)
            found["long_elements"] = page.evaluate("bench.elements()")
        return found


MEASURES = [
    Measure(
        "browser_flood",
        (
            Row("flood_frames", "10,000 lines/s watched for 30 s: frames", "/s", 50, least=True),
            Row("flood_frames_least", "  in the slowest second", "/s", 50, least=True),
            Row("flood_drawn", "  in which the log is drawn anew", "/s"),
            Row("flood_input_p99", "  key or click to the frame behind it: p99", "ms", 100),
            Row("flood_handled_p99", "  to its handler: p99", "ms"),
            Row("flood_heap_early", "  JS heap after 10 s", "MB"),
            Row("flood_heap_most", "  at most", "MB", 128),
            Row("flood_heap_left", "  what is held at the end", "MB", 64),
            Row("flood_elements", "  elements in the page, at most", "", 2_000),
            Row("flood_pixels_p99", "  WebSocket frame to pixels: p99", "ms"),
            Row("flood_cpu_share", "  the page's main thread, of a core", "%"),
        ),
        take_flood,
    ),
    Measure(
        "browser_pixels",
        (
            Row("paced_pixels_p50", "WebSocket frame to pixels: p50", "ms", 17),
            Row("paced_pixels_p99", "  p99", "ms", 34),
            Row("print_pixels_p50", "  from the program's print: p50", "ms"),
            Row("print_pixels_p99", "  p99", "ms"),
        ),
        take_pixels,
    ),
    Measure(
        "browser_long",
        (
            Row("first_row", "a run of 1,000,000 lines: first row painted", "ms", 500),
            Row("first_row_new", "  with an empty cache", "ms", 500),
            Row("page_ready", "  its page is ready", "ms"),
            Row("seek_scroll_p50", "  scrolled anywhere: p50", "ms", 150),
            Row("seek_scroll_p95", "  p95", "ms"),
            Row("seek_bar_p50", "  sought anywhere by the bar: p50", "ms", 150),
            Row("seek_bar_p95", "  p95", "ms"),
        ),
        take_long,
    ),
]
