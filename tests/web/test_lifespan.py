import asyncio

from django.test import SimpleTestCase

from runs.streaming.hints import hints
from streamsite.asgi import application


class LifespanTests(SimpleTestCase):
    """What servers other than ours tell an application, by the ASGI specification."""

    async def test_from_the_start_on_changes_are_told_to_other_processes(self):
        said, inbox = asyncio.Queue(), asyncio.Queue()
        running = asyncio.create_task(application({"type": "lifespan"}, inbox.get, said.put))
        async with asyncio.timeout(5):
            inbox.put_nowait({"type": "lifespan.startup"})
            self.assertEqual(await said.get(), {"type": "lifespan.startup.complete"})
            self.assertIs(hints._loop, asyncio.get_running_loop())
            inbox.put_nowait({"type": "lifespan.shutdown"})
            self.assertEqual(await said.get(), {"type": "lifespan.shutdown.complete"})
            await running
