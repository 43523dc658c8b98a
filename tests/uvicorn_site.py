"""A web process of a cluster under uvicorn, in the place of our own server."""

import re

from .cluster import Cluster, Web


class Uvicorn(Web):
    tells = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
    ready = "running on"

    def arguments(self) -> list[str]:
        return ["-m", "uvicorn", "streamsite.asgi:application", "--no-access-log",
                "--ws-per-message-deflate", "false"]  # fmt: skip


def uvicorn(cluster: Cluster, **environment: str) -> Uvicorn:
    """One that has started; the caller ends it."""
    site = Uvicorn(cluster, **environment)
    site.start()
    return site
