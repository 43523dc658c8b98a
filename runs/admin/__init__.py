"""The admin for auditing: everything can be read, nothing edited."""

from .access import AccessEventAdmin
from .chunks import ChunkAdmin
from .credentials import ApiTokenAdmin, SavedSecretAdmin
from .runs import RunAdmin
from .shares import ShareAdmin
from .webhooks import DeliveryAdmin, WebhookAdmin

__all__ = [
    "AccessEventAdmin",
    "ApiTokenAdmin",
    "ChunkAdmin",
    "DeliveryAdmin",
    "RunAdmin",
    "SavedSecretAdmin",
    "ShareAdmin",
    "WebhookAdmin",
]
