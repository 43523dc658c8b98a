from django.core.management.base import BaseCommand, CommandError

from ...fields import Unreadable, reseal
from ...models import Run, SavedSecret


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets anew with STREAMSITE_SECRET_KEY. To change the key: move the "
        "old one to STREAMSITE_SECRET_KEY_FALLBACKS, set the new one, restart, run this, and "
        "take the old one out."
    )

    def handle(self, **options):
        count, unreadable = 0, []
        for model, field in ((SavedSecret, "sealed"), (Run, "env_sealed")):
            kept = model.objects.exclude(**{field: ""}).values_list("pk", field)
            for pk, sealed in kept.iterator():
                try:
                    new = reseal(sealed)
                except Unreadable:
                    unreadable.append(f"{model.__name__} {pk}")
                    continue
                # Unless somebody changed it meanwhile: that is sealed with the new key.
                count += model.objects.filter(pk=pk, **{field: sealed}).update(**{field: new})
        if unreadable:
            raise CommandError(
                f"{count} values are encrypted anew. Not readable, so left as they are: "
                f"{', '.join(unreadable[:20])}. Put the key that they were made with into "
                "STREAMSITE_SECRET_KEY_FALLBACKS and run this again."
            )
        self.stdout.write(f"{count} values are encrypted anew.")
