"""What trust costs: `python -m tests.benchmarks.trusting` prints chunks per second as JSON.

The same output on its way through drafting and the recorder, with neither masking nor a
chain and with both, in turns; then how fast `verify` reads it back.
"""

import asyncio
import json
import os
import secrets
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
django.setup()

from runs.models import Run, Status  # noqa: E402
from runs.streaming import database  # noqa: E402
from runs.streaming.chain import verify  # noqa: E402
from runs.streaming.drafting import Drafting  # noqa: E402
from runs.streaming.feed import feeds  # noqa: E402
from runs.streaming.masking import Secrets  # noqa: E402
from runs.streaming.recorder import Recorder  # noqa: E402

from .recording import AT_ONCE, make_run  # noqa: E402

CHUNKS = 300_000
SECRETS = 50
TURNS = 3


def text(number: int) -> str:
    return f"This is line {number} of the log.\n"


async def record(values: list[str], is_chained: bool) -> tuple[Run, float]:
    """The run and its chunks per second."""
    run = await database.write(make_run)
    recorder = Recorder(feeds.deliver)
    recorder.start()
    recording = await recorder.open(run)
    if not is_chained:
        recording._value = b""
    drafting = Drafting(Secrets(values), {})
    async with feeds.join(run.pk):
        began = time.monotonic()
        for first in range(0, CHUNKS, AT_ONCE):
            # The streams alternate, so that no two chunks are joined.
            pieces = [
                (0, ("stdout", "stderr")[number % 2], text(number), None, began)
                for number in range(first, first + AT_ONCE)
            ]
            await recording.append([d for of in drafting.feed_all(pieces) for d in of])
        await recording.flush()
        seconds = time.monotonic() - began
    await recorder.close()
    assert recording.seq == CHUNKS
    await database.write(Run.objects.finish, run, Status.SUCCEEDED)
    return await database.read(lambda: Run.objects.get(pk=run.pk)), CHUNKS / seconds


async def measure() -> dict[str, float]:
    plain, trusted, verified = [], [], []
    for _ in range(TURNS):
        plain.append((await record([], is_chained=False))[1])
        run, rate = await record([secrets.token_urlsafe(24) for _ in range(SECRETS)], True)
        trusted.append(rate)
        began = time.monotonic()
        finding = await database.read(verify, run)
        assert finding.is_intact, finding.sentence
        verified.append(CHUNKS / (time.monotonic() - began))
    return {
        "untrusted_rate": max(plain),
        "trusted_rate": max(trusted),
        "trust_cost": 100 * (1 - max(trusted) / max(plain)),
        "verify_rate": max(verified),
    }


def main() -> None:
    sys.setswitchinterval(0.0005)  # as the server does
    print(json.dumps(asyncio.run(measure())))
    database.close_connections()


if __name__ == "__main__":
    main()
