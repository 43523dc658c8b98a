from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0002_auditors"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(
                condition=models.Q(("stream", "o"), _negated=True),
                fields=["id", "stream"],
                name="chunk_marks_of_run",
            ),
        ),
    ]
