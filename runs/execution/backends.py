"""The sandbox backend that the settings ask for."""

from django.conf import settings

from ..sandboxes.base import Backend, SandboxError
from ..sandboxes.local import LocalBackend


def make_backend() -> Backend:
    """Raises SandboxError when the backend cannot be had."""
    if settings.SANDBOX == "e2b":
        raise SandboxError(
            "Running in E2B is not part of this version. "
            "Unset E2B_API_KEY, or set STREAMSITE_SANDBOX=local."
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
