"""The sandbox backend that the settings ask for."""

from django.conf import settings

from ..sandboxes.base import Backend
from ..sandboxes.e2b import E2BBackend
from ..sandboxes.local import LocalBackend


def make_backend() -> Backend:
    if settings.SANDBOX == "e2b":
        return E2BBackend(
            deployment=settings.E2B_DEPLOYMENT,
            template=settings.E2B_TEMPLATE or None,
            agent_template=settings.E2B_AGENT_TEMPLATE or None,
            sandbox_seconds=settings.E2B_SANDBOX_SECONDS,
            internet=settings.E2B_INTERNET,
        )
    return LocalBackend(
        data_dir=settings.DATA_DIR,
        allow_unconfined=(settings.QUICKSTART or settings.DEBUG or settings.LOCAL_ALLOW_UNCONFINED),
        confine=settings.LOCAL_CONFINE,
        network=settings.LOCAL_NETWORK,
        memory_bytes=settings.LOCAL_MEMORY_BYTES,
        file_bytes=settings.LOCAL_FILE_BYTES,
        max_processes=settings.LOCAL_PROCESSES,
        notebook_spare=settings.LOCAL_NOTEBOOK_SPARE,
    )
