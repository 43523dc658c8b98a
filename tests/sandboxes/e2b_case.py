"""Running programs through the E2B backend against the double, by the real SDK."""

import asyncio
import os
import time
from contextlib import asynccontextmanager
from unittest import mock

from runs.sandboxes.e2b import E2BBackend
from tests.doubles.e2b import E2BDouble

from .support import SandboxCase


class E2BCase(SandboxCase):
    """One double for all tests of a class, emptied before each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.double = E2BDouble()
        cls.addClassCleanup(cls.double.close)

    def setUp(self):
        self.double.reset()
        patched = mock.patch.dict(os.environ, self.double.environment)
        patched.start()
        self.addCleanup(patched.stop)

    @asynccontextmanager
    async def backend(self, **options):
        options = {"deployment": "tests", "patience_seconds": 5, "create_seconds": 3, **options}
        backend = E2BBackend(**options)
        await backend.start()
        try:
            yield backend
        finally:
            await backend.close()

    def assert_no_sandbox_is_left(self, backend):
        self.assertEqual((self.double.sandboxes, backend.open_count), ([], 0))

    async def eventually(self, condition, seconds=10):
        """As until(), with the double asked from a thread."""
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(condition):
            self.assertLess(time.monotonic(), deadline, "it did not happen in time")
            await asyncio.sleep(0.02)
