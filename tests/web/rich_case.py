"""Programs with rich output, watched in a browser."""

import base64
import json
import struct
import zlib

from playwright.sync_api import expect

from ..browser import BrowserTestCase

expect.set_options(timeout=20_000)

DISPLAY = "from IPython.display import *\n"


def png(width, height) -> str:
    """A picture of nothing, as notebooks send it."""

    def part(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress((b"\0" + b"\xff" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")
    return base64.b64encode(whole).decode()


def bundle(**values) -> str:
    """A program that shows one result with these representations."""
    data = {name.replace("__", "/"): value for name, value in values.items()}
    return f"display({data!r}, raw=True)\n"


class RichCase(BrowserTestCase):
    def notebook(self, program, word="Succeeded", page=None):
        run = self.site.launch(DISPLAY + program, kind="python", mode="notebook")
        self.site.ended(run["id"], 60)
        self.visit(run, page)
        self.wait_for_status(word, page)
        return run

    def script(self, *events, **fields):
        program = "".join(f"print({json.dumps(event)!r})\n" for event in events)
        run = self.site.launch(program, kind="python", **fields)
        self.site.ended(run["id"])
        self.visit(run)
        return run

    @property
    def results(self):
        return self.page.locator(".result-block")

    def frame(self, number=0):
        return self.page.frame_locator("iframe.result-frame").nth(number)
