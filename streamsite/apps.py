from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class Streamsite(AppConfig):
    name = "streamsite"

    def ready(self):
        if settings.IS_SHARED:
            # After the admin's own ready(), which finds procrastinate's pages.
            from . import queue_admin  # noqa: F401  (registers itself)


class Admin(AdminConfig):
    default_site = "streamsite.admin.Site"
