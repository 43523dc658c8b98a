"""Sending something to where a webhook leads.

Somebody else chose the address, so: its name is looked up once and what it leads to is
checked and connected to, no redirect is followed, it takes a few seconds at most, and of
the answer no more than its head is read.
"""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import httpcore

from ..targets import BadTarget, Target, check_address

SECONDS = 10.0

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
            status = await _exchange(target, headers, body)
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


async def _resolve(host: str, port: int) -> str:
    """The one address that is connected to. Raises Undeliverable."""
    loop = asyncio.get_running_loop()
    ask = socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM
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


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to the address that was found and checked, and asks for no other."""

    async def connect_tcp(self, host, port, *args, **kwargs):
        address = await _resolve(host, port)
        return await httpcore.AnyIOBackend().connect_tcp(address, port, *args, **kwargs)


async def _exchange(target: Target, headers: dict[str, str], body: bytes) -> int:
    url = httpcore.URL(
        scheme="https" if target.is_secure else "http",
        host=target.host, port=target.port, target=target.path,
    )  # fmt: skip
    told = {"Host": target.authority, "User-Agent": "streamsite", "Connection": "close", **headers}
    pool = httpcore.AsyncConnectionPool(trusted(), network_backend=_Checked())
    try:
        async with (
            pool,
            # Left with the answer's body unread: the connection is closed at once.
            pool.stream("POST", url, headers=list(told.items()), content=body) as answer,
        ):
            return answer.status
    except httpcore.ConnectError as error:
        if _is_of_tls(error):
            sentence = "The target's certificate is not valid for its name."
            raise Undeliverable(sentence) from None
        raise Undeliverable("The target cannot be reached.") from None
    except httpcore.ProtocolError:
        raise Undeliverable("The target does not answer in HTTP, or not to the end.") from None
    except httpcore.NetworkError:
        raise Undeliverable("The target broke the connection off.") from None


def _is_of_tls(error: BaseException | None) -> bool:
    while error and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


@cache
def trusted() -> ssl.SSLContext:
    return ssl.create_default_context()
