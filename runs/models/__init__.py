"""The tables; run_changes.py is the only place where a run's status changes."""

from ..access import AccessEvent
from .agent_session import AgentSession
from .chunk import STREAM_CODES, STREAM_NAMES, Chunk, Stream
from .credentials import ApiToken, SavedSecret
from .run import Run, new_public_id
from .share import Share
from .status import ACTIVE, HELD, IS_ACTIVE, Status
from .webhook import Delivery, Webhook

__all__ = [
    "ACTIVE",
    "HELD",
    "IS_ACTIVE",
    "STREAM_CODES",
    "STREAM_NAMES",
    "AccessEvent",
    "AgentSession",
    "ApiToken",
    "Chunk",
    "Delivery",
    "Run",
    "SavedSecret",
    "Share",
    "Status",
    "Stream",
    "Webhook",
    "new_public_id",
]
