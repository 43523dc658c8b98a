from django.db import migrations


def let_auditors_view(apps, schema_editor):
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    group = apps.get_model("auth", "Group").objects.filter(name="Auditors").first()
    if group is None:
        return  # somebody has deleted or renamed it
    for model in ("accessevent", "savedsecret"):
        content_type, _ = ContentType.objects.get_or_create(app_label="runs", model=model)
        permission, _ = Permission.objects.get_or_create(
            content_type=content_type,
            codename=f"view_{model}",
            defaults={"name": f"Can view {model}"},
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("runs", "0005_access"), ("runs", "0002_auditors")]

    operations = [migrations.RunPython(let_auditors_view, migrations.RunPython.noop)]
