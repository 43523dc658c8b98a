"""System checks for settings that would surprise later."""

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def wildcard_host(app_configs, **kwargs):
    if "*" in settings.ALLOWED_HOSTS:
        return [
            Warning(
                "STREAMSITE_ALLOWED_HOSTS is *: any Host header is believed.",
                hint="Name the hosts people use to reach this server.",
                id="streamsite.W001",
            )
        ]
    return []
