from django.db import migrations
from django.db.models import F

FINAL = ("succeeded", "failed", "cancelled", "timed_out", "lost")
SLICE = 5_000


def say_what_is_stored(apps, schema_editor):
    """Of runs that have ended already. In slices: other writers come in between."""
    runs = apps.get_model("runs", "Run").objects.using(schema_editor.connection.alias)
    first, last = 0, runs.order_by("-pk").values_list("pk", flat=True).first() or 0
    while first <= last:
        some = runs.filter(pk__gte=first, pk__lt=first + SLICE, status__in=FINAL, stored_bytes=None)
        for pk, size, dropped in some.exclude(dropped=None).values_list(
            "pk", "output_bytes", "dropped"
        ):
            runs.filter(pk=pk).update(stored_bytes=size - dropped["bytes"], output_counted=size)
        some.update(stored_bytes=F("output_bytes"), output_counted=F("output_bytes"))
        first += SLICE


class Migration(migrations.Migration):
    # One transaction would hold every run's row until the last of them is done. Stopped
    # half-way it can be run again.
    atomic = False

    dependencies = [("runs", "0009_limits")]

    operations = [migrations.RunPython(say_what_is_stored, migrations.RunPython.noop)]
