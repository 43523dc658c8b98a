"""Whether a page can be read by everybody, by axe."""

from unittest import SkipTest

try:
    from axe_playwright_python.base import AXE_SCRIPT
except ImportError:  # pragma: no cover
    AXE_SCRIPT = ""

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Colours depend on the scheme and the size of targets on the width, not on both.
LOOKS = [("light", 1280), ("dark", 400)]


def problems_of(page) -> list[str]:
    """What axe finds against WCAG 2.2 AA and good practice, one line each."""
    if not AXE_SCRIPT:
        raise SkipTest("needs axe: install the extra `test` and run the tests again")
    page.evaluate(AXE_SCRIPT)
    options = {"runOnly": WCAG, "resultTypes": ["violations"]}
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def overhang_of(page) -> int:
    """How far the page is wider than its window, in pixels."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
