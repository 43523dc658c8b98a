"""Template filters: how runs read in words."""

from django import template
from django.utils import timezone
from django.utils.html import format_html

from ..models import Run
from ..streaming import wire
from .lines import visible

register = template.Library()


@register.filter
def lasting(seconds: float | None) -> str:
    """0.4 s, 12 s, 3 m 12 s, 2 h 03 m; static/runs/format.js says the same."""
    if seconds is None or seconds == "":
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} m"
    return f"{minutes} m {rest} s" if minutes else f"{rest} s"


@register.filter
def seconds_of(run: Run | None) -> float | None:
    return wire.duration(run) if run else None


@register.filter
def moment(value) -> str:
    """A <time> that the browser turns into local time."""
    if not value:  # the empty row that a script fills
        return ""
    iso = value.strftime("%Y-%m-%dT%H:%M:%SZ")
    today = value.date() == timezone.now().date()
    # As long as what the browser will say, so that nothing moves when it does.
    text = f"today {value:%H:%M:%S}" if today else f"{value.day} {value:%b %Y, %H:%M}"
    return format_html(
        '<time datetime="{}">{}<span class="without-script"> UTC</span></time>', iso, text
    )


@register.filter
def status_word(status: str) -> str:
    return status.replace("_", " ").capitalize()


@register.filter
def plain(text: str) -> str:
    """Several lines with everything that would change how they look made visible."""
    return visible(text)


@register.filter
def words(text: str) -> list[str]:
    return text.split()


@register.filter
def in_words(detail: dict) -> str:
    """What an access event tells beside who and what: "from 1 · to 20"."""
    told = ((n, ", ".join(map(str, v)) if isinstance(v, list) else v) for n, v in detail.items())
    return " · ".join(f"{name} {value}" for name, value in told if value not in ("", None))


@register.filter
def grouped(number: int) -> str:
    """48,210"""
    return f"{number:,}"


@register.filter
def found(hit) -> str:
    """A line in which something was found, with that marked."""
    before, after = hit.text[: hit.start], hit.text[hit.end :]
    if hit.ranges[0][0] > hit.start:
        before = "…" + before
    return format_html("{}<mark>{}</mark>{}", before, hit.text[hit.start : hit.end], after)
