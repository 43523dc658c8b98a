"""Serving: what the commands quickstart and serve share."""

import ipaddress
import socket
from collections.abc import Callable

from django.conf import settings
from django.core.management.base import CommandError

from runs.execution import dispatch

from .server import CannotListen, serve


def serve_site(
    host: str, port: int, say: Callable[[str], None], *, confined_or_loopback: bool = False
) -> None:
    """Serve until SIGTERM or Ctrl-C, telling with `say` where and with which sandbox.

    On SQLite with the embedded executor; with PostgreSQL and Redis workers carry the runs.

    With `confined_or_loopback`, programs that would run unconfined are refused
    unless only this machine can reach us. Raises CommandError with a sentence.
    """

    async def start() -> None:
        if settings.IS_SHARED:
            return await dispatch.attach()
        await dispatch.start()
        sandbox = dispatch.describe_sandbox()
        if confined_or_loopback and not sandbox["confined"] and not is_loopback(host):
            await dispatch.stop()
            raise CommandError(
                f"Programs would run unconfined for everyone who reaches {host}. Install "
                "bubblewrap, or leave out --host to serve this machine only."
            )

    def ready(host: str, port: int) -> None:
        sandbox = dispatch.describe_sandbox()
        say(f"streamsite is at http://{shown(host)}:{port}/")
        if settings.IS_SHARED:
            say("Runs are carried by workers: manage.py worker.")
        else:
            say(f"Sandbox: {sandbox['name']}. {sandbox['sentence']}")
            say(f"Data: {settings.DATA_DIR}")
        say("Ctrl-C ends it.")

    try:
        serve(host, port, on_start=start, on_stop=dispatch.stop, ready=ready)
    except (CannotListen, dispatch.AlreadyExecuting, dispatch.SandboxError) as error:
        raise CommandError(str(error)) from None
    finally:
        dispatch.close()


def allow_host(host: str) -> None:
    """Answer to the name that we were told to listen on, besides the configured ones."""
    names = {host, shown(host)}
    if host in ("0.0.0.0", "::"):
        names = {socket.gethostname(), socket.getfqdn()}
    settings.ALLOWED_HOSTS = sorted({*settings.ALLOWED_HOSTS, *names})


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
