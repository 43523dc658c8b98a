"""An executor to be killed: runs a program in E2B and prints every piece as JSON.

python -m tests.sandboxes.e2b_executor RUN_ID LANGUAGE PROGRAM
"""

import asyncio
import json
import sys

from runs.sandboxes.base import Launch, OutputQueue, Process
from runs.sandboxes.e2b import E2BBackend


def say(**what):
    print(json.dumps(what), flush=True)


async def main(run_id, language, program):
    backend = E2BBackend(deployment="tests")
    sandbox = await backend.create(Launch(run_id, "alice", (Process(0, language, program),)))
    say(sandbox=sandbox.id)
    output = OutputQueue()

    async def tell():
        while (pieces := await output.take()) is not None:
            for piece in pieces:
                say(stream=piece.stream, text=piece.text)

    telling = asyncio.ensure_future(tell())
    codes = await sandbox.run(output, lambda *ended: None)
    output.close()
    await telling
    say(codes=codes)
    await sandbox.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
