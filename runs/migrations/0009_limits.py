import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Coalesce

def let_auditors_view(apps, schema_editor):
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    group = apps.get_model("auth", "Group").objects.filter(name="Auditors").first()
    if group is None:
        return  # somebody has deleted or renamed it
    content_type, _ = ContentType.objects.get_or_create(app_label="runs", model="limit")
    permission, _ = Permission.objects.get_or_create(
        content_type=content_type, codename="view_limit", defaults={"name": "Can view limit"}
    )
    group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("runs", "0008_retention"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Usage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("owner", models.BigIntegerField()),
                ("minute", models.BigIntegerField(help_text="Since 1970.")),
                ("launches", models.IntegerField(default=0)),
                ("output_bytes", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("owner", "minute"), name="usage_of_owner")],
            },
        ),
        migrations.CreateModel(
            name="Limit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("runs_at_once", models.PositiveBigIntegerField(blank=True, help_text="Queued ones count. Empty: not said here; said nowhere is unlimited.", null=True, verbose_name="runs at once")),
                ("launches_per_hour", models.PositiveBigIntegerField(blank=True, help_text="In the last 60 minutes.", null=True, verbose_name="launches per hour")),
                ("output_bytes_per_day", models.PositiveBigIntegerField(blank=True, help_text="In the last 24 hours. Runs that print beyond it are ended.", null=True, verbose_name="output bytes per day")),
                ("stored_bytes", models.PositiveBigIntegerField(blank=True, help_text="Of output that is kept. 1,073,741,824 bytes are 1 GiB.", null=True, verbose_name="stored bytes")),
                ("group", models.ForeignKey(blank=True, help_text="For each member by themselves; of several groups the most generous counts. With neither user nor group it is for everybody of whom nothing else is said.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name="limits", to="auth.group")),
                ("user", models.ForeignKey(blank=True, help_text="What is said here counts before what groups say.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name="limits", to=settings.AUTH_USER_MODEL)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("user", None), ("group", None), _connector="OR"), name="limit_of_user_or_group", violation_error_message="Choose a user or a group, not both."),
                    models.UniqueConstraint(Coalesce("user", 0), Coalesce("group", 0), name="limit_once", violation_error_message="There is a limit of this already. Change that one."),
                ],
            },
        ),
        migrations.AlterField(
            model_name="accessevent",
            name="action",
            field=models.CharField(choices=[('login', 'Logged in'), ('logout', 'Logged out'), ('login_failed', 'Failed to log in'), ('launch', 'Launched'), ('rerun', 'Launched again'), ('view', 'Opened the page'), ('read', 'Read by the API'), ('watch', 'Began to watch'), ('watched', 'Stopped watching'), ('replay', 'Began to replay'), ('replayed', 'Replayed'), ('export', 'Exported'), ('cancel', 'Cancelled'), ('delete', 'Deleted'), ('token_made', 'Made a token'), ('token_used', 'Used a token'), ('token_revoked', 'Revoked a token'), ('secret_saved', 'Saved a secret'), ('secret_deleted', 'Deleted a secret'), ('password', 'Changed a password'), ('admin_add', 'Added in the admin'), ('admin_change', 'Changed in the admin'), ('admin_delete', 'Deleted in the admin')], max_length=16),
        ),
        migrations.AddField(
            model_name="run",
            name="output_counted",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="run",
            name="stored_bytes",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["owner", "stored_bytes"], name="run_stored_of_owner"),
        ),
        migrations.RunPython(let_auditors_view, migrations.RunPython.noop),
    ]
