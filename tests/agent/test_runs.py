import json

from runs.models import Status
from tests.agent.support import KEY, SECONDS, AgentCase, needs_sdk
from tests.doubles.anthropic import Fail, Hold, Say, Think, Use
from tests.doubles.anthropic.answers import OVERLOADED


def types(events) -> list[str]:
    """The types in order, neighbours of the same type as one."""
    found = []
    for event in events:
        if found[-1:] != [event["type"]]:
            found.append(event["type"])
    return found


def said(events, kind="text", **more) -> str:
    return "".join(e["data"][kind] for e in events if e["type"] == kind)


def only(events, type) -> dict:
    (event,) = [event for event in events if event["type"] == type]
    return event["data"]


@needs_sdk
class ConversationTests(AgentCase):
    async def test_an_answer(self):
        api = self.api(Say("Good day to you. Here is a naïve “answer”."))
        run, events = await self.ask("Say something.\n'''; import os #")
        self.assertEqual((run.status, run.exit_code, run.error), (Status.SUCCEEDED, 0, ""))
        self.assertEqual(types(events), ["start", "text", "result", "complete"])
        self.assertEqual(only(events, "start"), {"prompt": "Say something.\n'''; import os #"})
        self.assertGreater([event["type"] for event in events].count("text"), 2)
        self.assertEqual(said(events), "Good day to you. Here is a naïve “answer”.")
        result = only(events, "result")
        self.assertEqual((result["result"], result["is_error"]), (said(events), False))
        self.assertEqual(result["num_turns"], 1)
        self.assertGreater(result["cost"], 0)
        self.assertGreater(result["duration_ms"], 0)
        self.assertEqual(result["usage"]["output_tokens"], 34)
        self.assertEqual(only(events, "complete"), {"status": "success"})
        self.assertEqual({asked.path for asked in api.asked}, {"/v1/messages"})

    async def test_a_tool_is_really_used(self):
        command = "pwd; ls; env | grep STREAMSITE_PROMPT; echo made > made.txt; cat made.txt"
        call = Use("Bash", {"command": command, "description": "Make a file"})
        api = self.api([Think("Let me see."), Say("I will look."), call], Say("There it is."))
        run, events = await self.ask("Make a file.")
        self.assertEqual(run.status, Status.SUCCEEDED)
        self.assertEqual(
            types(events),
            ["start", "thinking", "text", "tool_use", "tool_result", "text", "result", "complete"],
        )
        self.assertEqual(said(events, "thinking"), "Let me see.")
        self.assertEqual(said(events), "I will look.There it is.")
        blocks = {e["data"]["block"] for e in events if e["type"] in ("text", "thinking")}
        self.assertEqual(len(blocks), 3)
        used = only(events, "tool_use")
        self.assertEqual(
            (used["id"], used["name"], used["input"]["command"]), (call.id, "Bash", command)
        )
        result = only(events, "tool_result")
        self.assertEqual((result["tool_use_id"], result["is_error"]), (call.id, False))
        # Nothing of ours lies in the agent's directory.
        self.assertEqual(result["content"].split("\n")[1:], ["made"])
        self.assertEqual(only(events, "result")["num_turns"], 2)
        told = json.dumps(api.turns[1].body["messages"])
        self.assertIn("made", told)

    async def test_a_tool_that_fails_and_one_that_returns_much(self):
        read = Use("Read", {"file_path": "/home/sandbox/nowhere"})
        much = Use("Bash", {"command": "head -c 200000 /dev/zero | tr '\\0' x"})
        self.api(read, much, Say("Done."))
        run, events = await self.ask("Try.")
        self.assertEqual(run.status, Status.SUCCEEDED)
        first, second = (e["data"] for e in events if e["type"] == "tool_result")
        self.assertTrue(first["is_error"])
        self.assertFalse(second["is_error"])
        self.assertIn("xxxxx", json.dumps(second["content"]))

    async def test_a_tool_call_of_more_than_a_line_holds(self):
        text = "x" * 1_500_000
        self.api(
            Use("Write", {"file_path": "/tmp/huge.txt", "content": text}, piece=200_000),
            Use("Bash", {"command": "wc -c < /tmp/huge.txt"}),
            Say("Done."),
        )
        run, events = await self.ask("Write much.")
        self.assertEqual(run.status, Status.SUCCEEDED)
        first, _ = (e["data"] for e in events if e["type"] == "tool_use")
        self.assertEqual((first["name"], first["truncated"]), ("Write", True))
        self.assertEqual(first["input"]["content"], f"{text[:100_000]}…")
        _, second = (e["data"] for e in events if e["type"] == "tool_result")
        self.assertEqual(second["content"], "1500000")

    async def test_text_is_recorded_while_it_is_generated(self):
        answer = Hold("The first words, and then the last.")
        self.api(answer)
        async with self.executing():
            run = await self.submit("Talk.", "agent")
            await self.until(run, lambda run: '"text":"then th"' in run.last_line, SECONDS)
            answer.go.set()
            run = await self.ended(run, SECONDS)
        self.assertEqual(run.status, Status.SUCCEEDED)
        self.assertEqual(said(await self.events(run)), answer.text)

    async def test_a_long_prompt_arrives_whole(self):
        api = self.api(Say("Long."))
        prompt = "Read: " + "ä€𝄞" * 16_600
        run, events = await self.ask(prompt)
        self.assertEqual(run.status, Status.SUCCEEDED)
        self.assertEqual(only(events, "start")["prompt"], prompt)
        self.assertIn(prompt, [part["text"] for part in texts_to(api)])

    async def test_a_cancelled_agent_leaves_nothing_behind(self):
        answer = Hold("This will never end, whatever anybody does.")
        self.api(answer)
        async with self.executing() as executor:
            run = await self.submit("Talk.", "agent")
            await self.printed(run, '"type":"text"', SECONDS)
            executor.end_from_thread(run.pk)
            run = await self.ended(run)
        answer.go.set()
        self.assertEqual(run.status, Status.CANCELLED)


@needs_sdk
class FailureTests(AgentCase):
    async def test_an_overload_that_passes_is_tried_again(self):
        self.api(OVERLOADED, Say("Back."))
        run, events = await self.ask("Hello")
        self.assertEqual(run.status, Status.SUCCEEDED)
        self.assertEqual(types(events), ["start", "error_msg", "text", "result", "complete"])
        retry = only(events, "error_msg")
        self.assertEqual((retry["error"], retry["retrying"]), ("overloaded", True))
        self.assertIn("529", retry["message"])

    async def test_an_overload_that_stays_is_no_success(self):
        self.api(OVERLOADED)
        once = {"CLAUDE_CODE_MAX_RETRIES": "1"}
        run, events = await self.ask("Hello", env=once, plain_env=list(once))
        self.assertEqual((run.status, run.exit_code), (Status.FAILED, 1))
        self.assertTrue(only(events, "result")["is_error"])
        self.assertEqual(only(events, "complete"), {"status": "failed"})
        final = [e["data"] for e in events if e["type"] == "error_msg"][-1]
        self.assertIn("Overloaded", final["message"])
        self.assertEqual(said(events), "")

    async def test_a_wrong_key_is_not_tried_for_minutes(self):
        api = self.api(Say("never"), key="another key")
        run, events = await self.ask("Hello")
        self.assertEqual(run.status, Status.FAILED)
        self.assertEqual(types(events), ["start", "error_msg", "complete"])
        self.assertIn("Check ANTHROPIC_API_KEY", only(events, "error_msg")["message"])
        self.assertIn("Check ANTHROPIC_API_KEY", run.error)
        # Of eleven; on a busy machine the next may be under way.
        self.assertLess(len(api.asked), 4)

    async def test_a_refused_request(self):
        self.api(Fail(400, "invalid_request_error", "Your credit balance is too low"))
        run, events = await self.ask("Hello")
        self.assertEqual(run.status, Status.FAILED)
        self.assertEqual(only(events, "complete"), {"status": "failed"})
        self.assertIn("error_msg", types(events))


@needs_sdk
class KeyTests(AgentCase):
    async def test_the_key_is_in_the_sandbox_and_nowhere_else(self):
        look = "echo $ANTHROPIC_API_KEY; ps -ef; cat /proc/*/cmdline | tr '\\0' ' '"
        api = self.api(Use("Bash", {"command": look}), Say(f"Your key is {KEY}", piece=100))
        run, events = await self.ask("Find the key.")
        self.assertEqual(run.status, Status.SUCCEEDED)
        self.assertEqual({asked.headers.get("x-api-key") for asked in api.asked}, {KEY})
        content = only(events, "tool_result")["content"]
        self.assertTrue(content.startswith("***\n"), content[:100])
        self.assertIn("--output-format", content)
        self.assertEqual(content.count("***"), 1)
        self.assertNotIn("Find the key", content)
        self.assertNotIn(KEY, await self.text(run, "oevs"))
        self.assertIn("Your key is ***", said(events))
        self.assertEqual((run.env_names, run.env_sealed), ([], ""))

    async def test_a_user_who_brings_an_address_does_not_get_our_key(self):
        api = self.api(Say("Hello"), key=None)
        run, _ = await self.ask("Hello", env={"ANTHROPIC_BASE_URL": api.url})
        self.assertEqual(run.status, Status.FAILED)
        self.assertEqual([a for a in api.asked if KEY in str(a.headers)], [])


def texts_to(api) -> list[dict]:
    """The text blocks of the first turn's messages."""
    found = []
    for message in api.turns[0].body["messages"]:
        content = message["content"]
        found += [{"text": content}] if isinstance(content, str) else content
    return [block for block in found if "text" in block]
