from django.apps import AppConfig
from django.contrib.auth import signals


class RunsConfig(AppConfig):
    name = "runs"
    verbose_name = "Runs"

    def ready(self):
        # Models are there only now.
        from . import access, checks  # noqa: F401  (checks register themselves)

        signals.user_logged_in.connect(access.logged_in)
        signals.user_logged_out.connect(access.logged_out)
        signals.user_login_failed.connect(access.login_failed)
