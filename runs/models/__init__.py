"""The tables; run_changes.py is the only place where a run's status changes."""

from ..access import AccessEvent
from .agent_session import AgentSession
from .chunk import STREAM_CODES, STREAM_NAMES, Chunk, Stream
from .credentials import ApiToken, SavedSecret
from .limits import NAMES as LIMITS
from .limits import Limit
from .retention import Deletion, Hold, RetentionRule
from .run import Run, new_public_id
from .run_changes import RunQuerySet
from .share import Share
from .standing import LimitReached, Standing, standings_of
from .status import ACTIVE, HELD, IS_ACTIVE, Status
from .usage import Usage
from .webhook import Delivery, Webhook

__all__ = [
    "ACTIVE",
    "HELD",
    "IS_ACTIVE",
    "LIMITS",
    "STREAM_CODES",
    "STREAM_NAMES",
    "AccessEvent",
    "AgentSession",
    "ApiToken",
    "Chunk",
    "Deletion",
    "Delivery",
    "Hold",
    "Limit",
    "LimitReached",
    "RetentionRule",
    "Run",
    "RunQuerySet",
    "SavedSecret",
    "Share",
    "Standing",
    "Status",
    "Stream",
    "Usage",
    "Webhook",
    "new_public_id",
    "standings_of",
]
