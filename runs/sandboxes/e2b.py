"""Programs in E2B sandboxes: one sandbox per run."""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from .base import Launch, Offsets, Sandbox, SandboxError
from .e2b_errors import BUSY, NO_E2B, QUOTA, explained, will_pass
from .e2b_life import Graves, Life
from .e2b_notebook import E2BNotebook
from .e2b_sandbox import E2BSandbox
from .script import check_environment

logger = logging.getLogger(__name__)

LANGUAGES = ("bash", "python", "agent")
CELL_LANGUAGES = ("python", "javascript", "typescript", "r", "java", "bash")
RETRY_FIRST = 1.0
RETRY_CAP = 10.0
# A sandbox that takes longer is worth a word.
SLOW_SECONDS = 3.0

NO_KEY = "E2B_API_KEY is not set. Set it, or set STREAMSITE_SANDBOX=local."
CELL_LOST = (
    "The executor of this run ended, and a notebook cell cannot be continued by another: "
    "E2B stops it when its client leaves. Launch the run again; script mode survives this."
)


class E2BBackend:
    """Sandboxes in E2B; the SDK reads key and addresses from the environment.

    `deployment` tells our sandboxes from those of others with the same key; it must
    stay the same over restarts. `sandbox_seconds` is how long a sandbox outlives an
    executor that died; while its run lives it is extended. create() retries for
    `create_seconds`, and a broken connection is repaired for `patience_seconds`; one
    on which nothing was heard for three times `beat_seconds` is broken.
    sweep() spares sandboxes younger than `young_seconds`, whose run may be newer
    than the list of living ones. `template` None is the SDK's own; processes of the
    language "agent" run in `agent_template`.
    """

    name = "e2b"
    confined = True
    can_attach = True

    def __init__(
        self,
        *,
        deployment: str,
        template: str | None = None,
        agent_template: str | None = None,
        sandbox_seconds: int = 300,
        internet: bool = True,
        create_seconds: float = 120.0,
        patience_seconds: float = 60.0,
        beat_seconds: float = 15.0,
        young_seconds: float = 60.0,
    ):
        self._deployment = deployment
        self._template = template
        self._agent_template = agent_template
        self._seconds = sandbox_seconds
        self._internet = internet
        self._create_seconds = create_seconds
        self._patience = patience_seconds
        self._beat = beat_seconds
        self._young = timedelta(seconds=young_seconds)
        self._graves = Graves()

    @property
    def open_count(self) -> int:
        return self._graves.open_count

    async def start(self) -> None:
        if not os.environ.get("E2B_API_KEY") and os.environ.get("E2B_DEBUG", "").lower() != "true":
            raise SandboxError(NO_KEY)

    def describe(self) -> dict:
        network = "with" if self._internet else "without"
        return {
            "name": self.name,
            "confined": True,
            "sentence": f"Programs run in E2B sandboxes, one for each run, {network} the internet.",
            "network": self._internet,
            "template": self._template or "the SDK's own",
        }

    async def create(self, launch: Launch, on_wait: Callable[[str], None] | None = None) -> Sandbox:
        self._check(launch)
        sandbox = await self._create(launch, on_wait or (lambda reason: None))
        return self._held(launch, sandbox, {})

    def _held(self, launch: Launch, sandbox, offsets: Offsets) -> Sandbox:
        life = Life(sandbox, self._seconds, self._graves)
        if launch.cell:
            return E2BNotebook(launch, life)
        return E2BSandbox(launch, life, offsets, self._patience, self._beat)

    async def _create(self, launch: Launch, on_wait: Callable[[str], None]):
        # The same key for every try: one whose answer was lost makes no second sandbox.
        key = str(uuid.uuid4())
        until, delay = time.monotonic() + self._create_seconds, RETRY_FIRST
        while True:
            try:
                return await self._create_once(launch, key, on_wait)
            except Exception as error:
                sentence = explained(error, creating=True)
                if sentence is None:
                    raise
                if not will_pass(error) or time.monotonic() + delay > until:
                    raise sentence from error
                on_wait(waiting_for(str(sentence)))
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_CAP)

    async def _create_once(self, launch: Launch, key: str, on_wait: Callable[[str], None]):
        api = await sdk()
        metadata = {
            "run_id": launch.run_id,
            "owner": launch.owner,
            "deployment": self._deployment,
        }
        creating = asyncio.ensure_future(
            api.create(
                template=self._template_for(launch),
                timeout=self._seconds,
                metadata=metadata,
                allow_internet_access=self._internet,
                idempotency_key=key,
            )
        )
        slow = asyncio.get_running_loop().call_later(
            SLOW_SECONDS, on_wait, "E2B takes its time to give a sandbox."
        )
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            self._graves.kill_when_there(creating)
            raise
        finally:
            slow.cancel()

    def _template_for(self, launch: Launch) -> str | None:
        is_agent = any(part.language == "agent" for part in launch.processes)
        return self._agent_template if is_agent else self._template

    def _check(self, launch: Launch) -> None:
        """Raises SandboxError for what cannot be run."""
        for part in launch.processes:
            if part.language not in LANGUAGES:
                raise SandboxError(f"E2B sandboxes have no language {part.language!r} here.")
            if part.language == "agent" and not self._agent_template:
                raise SandboxError(
                    "Agent runs need an E2B template that has the Claude Agent SDK. "
                    "The administrator has to set one."
                )
        if launch.cell and launch.cell.language not in CELL_LANGUAGES:
            raise SandboxError(
                f"E2B has no notebook for {launch.cell.language!r}; it has "
                f"{', '.join(CELL_LANGUAGES)}."
            )
        for part in (*launch.processes, *([launch.cell] if launch.cell else [])):
            if "\0" in part.program:
                raise SandboxError("The program holds a NUL character; remove it.")
        if launch.cwd and "\0" in launch.cwd:
            raise SandboxError("The working directory holds a NUL character; remove it.")
        check_environment(launch.env)

    async def attach(self, launch: Launch, sandbox_id: str, offsets: Offsets) -> Sandbox:
        api = await sdk()
        if launch.cell:
            await api.kill(sandbox_id)
            raise SandboxError(CELL_LOST)
        try:
            sandbox = await self._connect(api, sandbox_id)
        except Exception as error:
            raise explained(error) or error from error
        return self._held(launch, sandbox, offsets)

    async def _connect(self, api, sandbox_id: str):
        until, delay = time.monotonic() + self._patience, RETRY_FIRST
        while True:
            try:
                return await api.connect(sandbox_id, timeout=self._seconds)
            except Exception as error:
                if not will_pass(error) or time.monotonic() + delay > until:
                    raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_CAP)

    async def sweep(self, living: Mapping[str, str]) -> int:
        api = await sdk()
        born_before = datetime.now(UTC) - self._young
        try:
            # All are listed first: whoever kills meanwhile shifts the pages.
            found = await self._ours(api)
            doomed = [
                one.sandbox_id
                for one in found
                if one.started_at <= born_before
                and living.get(one.metadata.get("run_id")) not in ("", one.sandbox_id)
            ]
            return sum([await api.kill(sandbox_id) for sandbox_id in doomed])
        except Exception as error:
            raise explained(error) or error from error

    async def _ours(self, api) -> list:
        import e2b

        pages = api.list(query=e2b.SandboxQuery(metadata={"deployment": self._deployment}))
        found = []
        while pages.has_next:
            found += await pages.next_items()
        return found

    async def close(self) -> None:
        await self._graves.close()


async def sdk():
    """AsyncSandbox, imported at first use and in a thread: it takes 60 MB and a second."""

    def load():
        from e2b_code_interpreter import AsyncSandbox

        return AsyncSandbox

    return await asyncio.to_thread(load)


def waiting_for(sentence: str) -> str:
    """Why a run is not started yet, from why it could not be."""
    reasons = {
        QUOTA: "E2B's limit on sandboxes or requests is reached; the run waits for its turn.",
        BUSY: "E2B is overloaded; the run waits for a sandbox.",
        NO_E2B: "E2B cannot be reached; the run waits for it.",
    }
    return reasons.get(sentence, "E2B gave no sandbox yet; the run waits for one.")
