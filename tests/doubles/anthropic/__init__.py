"""A double of the Messages API: a real HTTP server on loopback that answers as told.

    with MessagesApi(Say("Hello")) as api:
        ...  # ANTHROPIC_BASE_URL=api.url
    api.asked  # what was requested

Follows the public description of streaming messages:
https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from .answers import Fail, Hold, Say, Think, Use
from .server import MessagesApi

__all__ = ["Fail", "Hold", "MessagesApi", "Say", "Think", "Use"]
