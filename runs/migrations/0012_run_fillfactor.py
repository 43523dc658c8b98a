from django.db import migrations

# Each store changes the rows of the runs it stores for. PostgreSQL writes a new version of
# the row; if the old one's page has no room for it, it goes elsewhere, and into each of the
# table's indexes. Pages that exist already stay as full as they are.
FORWARDS, BACKWARDS = (
    "ALTER TABLE runs_run SET (fillfactor = 50)",
    "ALTER TABLE runs_run RESET (fillfactor)",
)


def on_postgresql(statement):
    def execute(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(statement)

    return execute


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0011_sharing"),
    ]

    operations = [
        migrations.RunPython(on_postgresql(FORWARDS), on_postgresql(BACKWARDS)),
    ]
