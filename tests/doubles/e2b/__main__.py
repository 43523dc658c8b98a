"""python -m tests.doubles.e2b [--port N]: prints its URL and serves until stdin ends."""

import argparse
import asyncio
import sys

from .server import Double


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default="e2b_double")
    options = parser.parse_args()
    double = Double(options.api_key)
    port = await double.start(options.port)
    print(f"http://127.0.0.1:{port}", flush=True)
    # Whoever started us holds the other end; it closes however they end.
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()
    await double.close()


asyncio.run(main())
