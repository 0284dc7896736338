from typing import Any

import django.db.models.deletion
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from migrations_app import roles

GRANTED_OF = ("auth", "migrations_app")


def make(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the groups. The permissions are made here too, since Django makes them after the last Django migration."""
    using = schema_editor.connection.alias
    for label in GRANTED_OF:
        config: Any = apps.get_app_config(label)
        # Django leaves out applications without a module of models, which those of a Django migration are.
        config.models_module = True
        create_permissions(config, apps=apps, using=using, verbosity=0)
    roles.bring_up_to_date(apps, using)


def take_away(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Remove the groups that are ours. Whoever was in one has no permissions by it any more."""
    roles.forget(apps, schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("migrations_app", "0010_run_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="Role",
            fields=[
                ("name", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("granted", models.JSONField(default=list)),
                (
                    "group",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="role",
                        to="auth.group",
                    ),
                ),
            ],
        ),
        migrations.RunPython(make, take_away),
    ]
