"""Agent runs for real: the SDK and its command line in a sandbox, the double as the API."""

import json
from importlib.util import find_spec
from unittest import skipUnless

from django.test import override_settings

from runs.models import Run
from tests.doubles.anthropic import MessagesApi
from tests.execution.helpers import CarryingTestCase

KEY = "sk-ant-of-the-server-0123456789"
# The command line takes its time to start when the machine is busy.
SECONDS = 60

needs_sdk = skipUnless(
    find_spec("claude_agent_sdk"), "claude-agent-sdk is not installed (the extra `agent`)"
)


class AgentCase(CarryingTestCase):
    def api(self, *answers, **more) -> MessagesApi:
        """The double, which this server's agents use until the test ends."""
        api = self.enterContext(MessagesApi(*answers, **{"key": KEY, **more}))
        self.enterContext(
            override_settings(ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=api.url, LOCAL_NETWORK=True)
        )
        return api

    async def ask(self, prompt: str, **fields) -> tuple[Run, list[dict]]:
        """(the ended run, its events)."""
        async with self.executing():
            run = await self.submit(prompt, "agent", **fields)
            run = await self.ended(run, SECONDS)
        return run, await self.events(run)

    async def events(self, run) -> list[dict]:
        return [json.loads(chunk.data) for chunk in await self.chunks(run) if chunk.stream == "v"]
