"""The admin for auditing: everything can be read; only rules and holds are edited."""

from .access import AccessEventAdmin
from .chunks import ChunkAdmin
from .credentials import ApiTokenAdmin, SavedSecretAdmin
from .limits import LimitAdmin
from .people import GroupAdmin, UserAdmin
from .retention import DeletionAdmin, HoldAdmin, RetentionRuleAdmin
from .runs import RunAdmin
from .shares import ShareAdmin
from .webhooks import DeliveryAdmin, WebhookAdmin

__all__ = [
    "AccessEventAdmin",
    "ApiTokenAdmin",
    "ChunkAdmin",
    "DeletionAdmin",
    "DeliveryAdmin",
    "GroupAdmin",
    "HoldAdmin",
    "LimitAdmin",
    "RetentionRuleAdmin",
    "RunAdmin",
    "SavedSecretAdmin",
    "ShareAdmin",
    "UserAdmin",
    "WebhookAdmin",
]
