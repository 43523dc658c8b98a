"""Sending something to where a webhook leads.

Somebody else chose the address, so: its name is looked up once and what it leads to is
checked and connected to, no redirect is followed, it takes a few seconds at most, and of
the answer next to nothing is read.
"""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from ..targets import BadTarget, Target, check_address

SECONDS = 10.0
# Of an answer only its head is read; a longer one is no answer.
HEAD_BYTES = 64 * 1024
MOST_INTERIM = 5

_resolving = ThreadPoolExecutor(4, "webhook-resolver")


class Undeliverable(Exception):
    """It was not delivered; a sentence. `for_good`: trying again would not help."""

    def __init__(self, sentence: str, status_code: int | None = None, for_good: bool = False):
        super().__init__(sentence)
        self.status_code = status_code
        self.for_good = for_good


async def post(target: Target, headers: dict[str, str], body: bytes) -> int:
    """Send it and return the answer's status, 200 to 299. Raises Undeliverable."""
    try:
        async with asyncio.timeout(SECONDS):
            status = await _exchange(target, await _resolve(target), headers, body)
    except TimeoutError:
        raise Undeliverable(f"The target did not answer within {SECONDS:g} seconds.") from None
    if 300 <= status < 400:
        raise Undeliverable(
            f"The target answered with a redirect ({status}), which is not followed. "
            "Give the address that it leads to.",
            status,
        )
    if not 200 <= status < 300:
        raise Undeliverable(f"The target answered with status {status}.", status)
    return status


async def _resolve(target: Target) -> str:
    """The one address that is connected to. Raises Undeliverable."""
    loop = asyncio.get_running_loop()
    ask = socket.getaddrinfo, target.host, target.port, 0, socket.SOCK_STREAM
    try:
        found = await loop.run_in_executor(_resolving, *ask)
    except (OSError, UnicodeError):
        raise Undeliverable("The target's name cannot be found. Check its spelling.") from None
    addresses = list(dict.fromkeys(info[4][0] for info in found))
    try:
        # If one of them is private, somebody plays with names.
        for address in addresses:
            check_address(address)
    except BadTarget as refusal:
        raise Undeliverable(str(refusal)) from None
    return addresses[0]


async def _exchange(target: Target, address: str, headers: dict[str, str], body: bytes) -> int:
    secure = {}
    if target.is_secure:
        # The certificate has to be the name's, whatever address was found for it.
        secure = {"ssl": trusted(), "server_hostname": target.host}
    try:
        reader, writer = await asyncio.open_connection(
            address, target.port, limit=HEAD_BYTES, **secure
        )
    except ssl.SSLError:
        raise Undeliverable("The target's certificate is not valid for its name.") from None
    except OSError:
        raise Undeliverable("The target cannot be reached.") from None
    try:
        writer.write(_request(target, headers, body))
        sending = asyncio.ensure_future(writer.drain())
        try:
            return await _status(reader)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    except OSError:
        raise Undeliverable("The target broke the connection off.") from None
    finally:
        # At once, with whatever the target still has to say.
        writer.transport.abort()


@cache
def trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def _request(target: Target, headers: dict[str, str], body: bytes) -> bytes:
    fields = {
        "Host": target.authority,
        "User-Agent": "streamsite",
        "Accept": "*/*",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


async def _status(reader: asyncio.StreamReader) -> int:
    """Of the answer; interim ones are passed over. Raises Undeliverable."""
    for _ in range(MOST_INTERIM):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise Undeliverable(
                f"The target's answer has a head of more than {HEAD_BYTES:,} bytes."
            ) from None
        except asyncio.IncompleteReadError:
            raise Undeliverable("The target closed the connection without an answer.") from None
        version, _, rest = head.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise Undeliverable("The target does not answer in HTTP.")
        if (status := int(rest[:3])) >= 200:
            return status
    raise Undeliverable("The target's answer never came to its end.")
