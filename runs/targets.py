"""Where a webhook may lead: an address that somebody chose who may not see our networks."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

URL_CHARS = 500
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BadTarget(ValueError):
    """It may not lead there; a sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    is_secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.is_secure else 80
        return host if self.port == usual else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Raises BadTarget. Names are not looked up here."""
    if len(url) > URL_CHARS:
        raise BadTarget(f"The address is too long; {URL_CHARS} characters at most.")
    if not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise BadTarget("The address may hold neither blanks nor letters beyond ASCII.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadTarget("This is no address. Use one like https://example.org/hook.") from None
    allowed = ("https", "http") if settings.WEBHOOK_HTTP else ("https",)
    if parts.scheme not in allowed or not parts.hostname:
        raise BadTarget(f"The address must begin with {' or '.join(f'{a}://' for a in allowed)}.")
    if parts.username is not None or parts.password is not None:
        raise BadTarget("The address may hold no user name and no password.")
    if parts.fragment or port == 0:
        raise BadTarget("Leave out what follows #, and take a port from 1 to 65535.")
    _check_literal(parts.hostname)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_secure = parts.scheme == "https"
    return Target(is_secure, parts.hostname, port or (443 if is_secure else 80), path)


def _check_literal(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return  # a name: looked up, and checked, when something is sent
    check_address(host)


def check_address(text: str) -> None:
    """Raises BadTarget unless it is an IP address of the public internet, or of a private
    network where the settings allow that; never one that only this machine's link has."""
    address = ipaddress.ip_address(text.partition("%")[0])
    may_be = _may_be_private if settings.WEBHOOK_PRIVATE else _is_public
    if not all(map(may_be, [address, *_inside(address)])):
        raise BadTarget("The address leads into a private network. Use a public one.")


def _is_public(address) -> bool:
    local = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not local


def _may_be_private(address) -> bool:
    # Link-local ones are where clouds keep their keys.
    return not (address.is_multicast or address.is_link_local or address.is_unspecified)


def _inside(address) -> list:
    """IPv4 addresses that an IPv6 address stands for."""
    if address.version == 4:
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]
