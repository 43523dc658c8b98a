"""The program of the sandbox as a process, with a stub in place of its SDK."""

import ast
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from django.test import SimpleTestCase

from runs.sandboxes import agent_main

SECRET = "sk-a-long-secret"
STUB = """
import asyncio, os
from types import SimpleNamespace

class ClaudeAgentOptions(SimpleNamespace):
    pass

class ResultMessage(SimpleNamespace):
    duration_ms = total_cost_usd = num_turns = usage = errors = result = None
    is_error, subtype = False, "success"

class SystemMessage(SimpleNamespace):
    subtype = "api_retry"

async def query(*, prompt, options):
    say = options.stderr
    for _ in ():
        yield
"""


class MainTests(SimpleTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.top = Path(directory.name)

    def run_program(self, body: str, *flags, program=agent_main.__file__, **env):
        """(exit code, events as pairs, lines on stderr); `body` is what the SDK does."""
        self.top.joinpath("claude_agent_sdk.py").write_text(
            STUB + "".join(f"    {line}\n" for line in body.splitlines())
        )
        done = subprocess.run(
            [sys.executable, *flags, program],
            env={"PYTHONPATH": str(self.top), "STREAMSITE_PROMPT_1": "Do ",
                 "STREAMSITE_PROMPT_2": "it.", **env},
            cwd=self.top, capture_output=True, timeout=30,
        )  # fmt: skip
        events = [json.loads(line) for line in done.stdout.splitlines()]
        said = done.stderr.decode().splitlines()
        return done.returncode, [(event["type"], event["data"]) for event in events], said

    def error(self, body: str, **env) -> dict:
        """What it says of an end that is no success."""
        code, events, _ = self.run_program(body, **env)
        self.assertEqual((code, events[-1]), (1, ("complete", {"status": "failed"})))
        [error] = [data for type, data in events if type == "error_msg"]
        return error

    def test_a_success(self):
        code, events, _ = self.run_program('yield ResultMessage(result="done")')
        self.assertEqual((code, events[0]), (0, ("start", {"prompt": "Do it."})))
        self.assertEqual(events[-1], ("complete", {"status": "success"}))
        self.assertEqual([type for type, _ in events], ["start", "result", "complete"])

    def test_without_its_sdk_it_says_so(self):
        code, events, _ = self.run_program("", "-S", PYTHONPATH="")
        (_, start), (_, error), (_, complete) = events
        self.assertEqual((code, start), (1, {"prompt": "Do it."}))
        self.assertEqual(error["error"], "not_installed")
        self.assertIn("claude-agent-sdk cannot be used here", error["message"])
        self.assertEqual(complete, {"status": "failed"})

    def test_what_it_said_is_out_when_it_is_killed(self):
        _, events, _ = self.run_program("os._exit(9)")
        self.assertEqual(events, [("start", {"prompt": "Do it."})])

    def test_an_end_without_a_result(self):
        self.assertEqual(self.error("pass")["error"], "no_result")

    def test_an_sdk_that_fails(self):
        boom = 'raise RuntimeError("boom")'
        self.assertEqual(self.error(boom), {"error": "RuntimeError", "message": "boom"})
        self.assertEqual(self.error(f"yield ResultMessage()\n{boom}")["message"], "boom")

    def test_an_error_result_that_is_raised_once_more_is_told_once(self):
        body = 'yield ResultMessage(is_error=True, result="no")\nraise Exception("again: no")'
        self.assertEqual(self.error(body)["message"], "no")

    def test_a_refused_key_leaves_the_sdk_in_its_own_task(self):
        body = """task = asyncio.current_task()
try:
    yield SystemMessage(data={"error_status": 401})
finally:
    say(str(asyncio.current_task() is task))"""
        self.assertEqual(self.error(body)["error"], "authentication_failed")
        self.assertEqual(self.run_program(body)[2], ["True"])

    def test_what_the_sdk_says_is_masked(self):
        for name in agent_main.SECRETS:
            _, _, said = self.run_program(f"say(os.environ[{name!r}])", **{name: SECRET})
            self.assertEqual(said, ["***"])
            told = self.error(f"raise Exception(os.environ[{name!r}])", **{name: SECRET})
            self.assertEqual(told["message"], "***")
        names = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
        self.assertEqual(agent_main.SECRETS, names)

    def test_its_surroundings_can_be_set_otherwise(self):
        body = "say(str([os.environ[name] for name in sorted(os.environ) if name in NAMES]))"
        body = body.replace("NAMES", repr(sorted(agent_main.SURROUNDINGS)))
        _, _, said = self.run_program(body, DISABLE_AUTOUPDATER="0")
        self.assertEqual(said, [str(["1", "0", "1", "1", "1"])])

    def test_its_prompt_is_not_left_in_the_environment(self):
        _, _, said = self.run_program("say(str([n for n in os.environ if 'PROMPT' in n]))")
        self.assertEqual(said, ["[]"])

    def test_what_it_asks_of_the_sdk(self):
        _, _, said = self.run_program("del options.stderr\nsay(repr(vars(options)))")
        options = ast.literal_eval(said[0])
        self.assertEqual(
            options,
            {
                "cwd": str(self.top),
                "system_prompt": {"type": "preset", "preset": "claude_code"},
                "permission_mode": "bypassPermissions",
                "setting_sources": [],
                "include_partial_messages": True,
                "max_buffer_size": agent_main.MESSAGE_BYTES,
            },
        )

    def test_it_removes_itself_where_it_was_written_for_the_run(self):
        own = self.top / "main.py"
        own.write_text(Path(agent_main.__file__).read_text())
        self.assertEqual(self.run_program("yield ResultMessage()", program=str(own))[0], 0)
        self.assertFalse(own.exists())
        self.assertTrue(Path(agent_main.__file__).exists())
