"""An agent in an E2B sandbox, from end to end: a real server, both services doubled."""

import json
from contextlib import suppress
from pathlib import Path

from django.test import SimpleTestCase

from tests.doubles.anthropic import Hold, MessagesApi, Say, Use
from tests.doubles.e2b import E2BDouble
from tests.site import Site

from .support import KEY, SECONDS, needs_sdk

PROMPT = "Make a file.\n'''; import os #"
CALL = Use("Bash", {"command": "echo $ANTHROPIC_API_KEY; echo made > made.txt; cat made.txt"})


def holders(name: str) -> list[str]:
    """The processes that have the key in this file of theirs in /proc."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{name}"):
        # Others may end meanwhile.
        with suppress(OSError):
            if KEY.encode() in path.read_bytes():
                found.append(str(path))
    return found


@needs_sdk
class E2BAgentTests(SimpleTestCase):
    def setUp(self):
        self.double = E2BDouble()
        self.addCleanup(self.double.close)

    def start(self, api: MessagesApi) -> Site:
        site = Site(
            **self.double.environment,
            STREAMSITE_E2B_AGENT_TEMPLATE="with-the-agent-sdk",
            ANTHROPIC_BASE_URL=api.url,
            ANTHROPIC_API_KEY=KEY,
            STREAMSITE_LOG_LEVEL="DEBUG",
        )
        self.addCleanup(site.close)
        site.start()
        return site

    def test_an_agent_uses_a_tool_and_its_key_is_nowhere_else(self):
        answer = Hold("There it is.")
        api = self.enterContext(MessagesApi([Say("I will look."), CALL], answer, key=KEY))
        self.addCleanup(answer.go.set)
        site = self.start(api)
        run = site.launch(PROMPT, kind="agent")
        site.until(run["id"], lambda run: len(api.turns) > 1 or run["finished_at"], SECONDS)
        (sandbox,) = self.double.sandboxes
        self.assertEqual(sandbox["templateID"], "with-the-agent-sdk")
        self.assertEqual(holders("cmdline"), [])
        inside = [
            path for path in holders("environ") if site.process.pid != int(path.split("/")[2])
        ]
        self.assertTrue(inside)
        answer.go.set()

        run = site.ended(run["id"], SECONDS)
        chunks = site.chunks(run["id"])
        self.assertEqual((run["status"], run["exit_code"], run["error"]), ("succeeded", 0, None))
        self.assertEqual([chunk["seq"] for chunk in chunks], list(range(1, run["last_seq"] + 1)))
        self.assert_events([chunk["data"] for chunk in chunks if chunk["stream"] == "event"])
        self.assertEqual(self.double.sandboxes, [])
        self.assertEqual({asked.headers.get("x-api-key") for asked in api.asked}, {KEY})
        self.assert_no_key(site, run, chunks)

    def assert_events(self, events):
        by_type: dict[str, list] = {}
        for event in events:
            by_type.setdefault(event["type"], []).append(event["data"])
        order = ["start", "text", "tool_use", "tool_result", "result", "complete"]
        self.assertEqual(list(by_type), order)
        self.assertEqual(by_type["start"], [{"prompt": PROMPT}])
        text = "".join(data["text"] for data in by_type["text"])
        self.assertEqual(text, "I will look.There it is.")
        (result,) = by_type["tool_result"]
        self.assertEqual((result["tool_use_id"], result["is_error"]), (CALL.id, False))
        self.assertEqual(result["content"], "***\nmade")
        self.assertEqual(by_type["complete"], [{"status": "success"}])

    def assert_no_key(self, site: Site, run: dict, chunks: list[dict]):
        self.assertNotIn(KEY, json.dumps([run, chunks]))
        self.assertEqual(site.stop(), 0)
        self.assertNotIn(KEY, "".join(site.printed))
        files = [path for path in site.data_dir.rglob("*") if path.is_file()]
        self.assertTrue([path for path in files if path.suffix == ".sqlite3"], files)
        self.assertEqual([path for path in files if KEY.encode() in path.read_bytes()], [])

    def test_without_a_template_it_says_what_to_set(self):
        site = Site(**self.double.environment, ANTHROPIC_API_KEY=KEY)
        self.addCleanup(site.close)
        site.start()
        status, answer = site.request("POST", "/api/runs", {"kind": "agent", "program": "Hello"})
        self.assertEqual(status, 503)
        self.assertIn("STREAMSITE_E2B_AGENT_TEMPLATE", json.dumps(answer))
        self.assertEqual(self.double.calls.get("create", 0), 0)
