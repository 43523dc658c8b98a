"""Making and revoking shared links, for the page and the API alike."""

from django.conf import settings

from ..access import Action, address_of, note
from ..models import Run, Share
from ..models.share import LABEL_CHARS

# Of one run, at the same time.
MOST_LINKS = 50
LEAST_SECONDS = 60
DAY = 86_400
CHOICES = (
    (3600, "an hour"),
    (DAY, "a day"),
    (7 * DAY, "7 days"),
    (30 * DAY, "30 days"),
    (90 * DAY, "90 days"),
)
CHOSEN_FIRST = 7 * DAY


class Refused(ValueError):
    """A link that cannot be made; `field` is what was wrong, the message a sentence."""

    def __init__(self, field: str, sentence: str):
        super().__init__(sentence)
        self.field = field


def most_seconds() -> int:
    return int(settings.SHARE_DAYS * DAY)


def choices() -> list[tuple[int, str]]:
    """(seconds, words) of how long a link may live."""
    return [choice for choice in CHOICES if choice[0] <= most_seconds()]


def number_in(text: str) -> int:
    """0 if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def make_share(request, user, run: Run, seconds, label) -> Share:
    """Raises Refused."""
    if not most_seconds():
        raise Refused("seconds", "Links are not shared here. Ask an administrator.")
    if type(seconds) is not int or not LEAST_SECONDS <= seconds <= most_seconds():
        most = f"{most_seconds():,} ({settings.SHARE_DAYS:g} days)"
        raise Refused("seconds", f"Say for how many seconds: {LEAST_SECONDS} to {most}.")
    if not isinstance(label, str) or len(label) > LABEL_CHARS or not (label + "x").isprintable():
        raise Refused("label", f"The label is one line of at most {LABEL_CHARS} characters.")
    if Share.objects.usable().filter(run=run).count() >= MOST_LINKS:
        raise Refused("label", f"{MOST_LINKS} links are the most. Revoke one that is not needed.")
    share = Share.objects.make(run, user, seconds, label.strip())
    until = f"{share.expires_at:%Y-%m-%d %H:%M} UTC"
    note(Action.SHARE_MADE, user, address_of(request), run, link=str(share), until=until)
    return share


def revoke_share(request, user, share: Share) -> bool:
    """False if it was revoked already."""
    if not Share.objects.revoke(share):
        return False
    note(Action.SHARE_REVOKED, user, address_of(request), share.run, link=str(share))
    return True
