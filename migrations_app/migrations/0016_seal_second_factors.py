from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from migrations_app import secrets
from migrations_app.models.second_factors import digests_of

SAME = (
    *("user_id", "name", "confirmed", "created_at", "last_used_at"),
    *("throttling_failure_timestamp", "throttling_failure_count"),
)
CLOCK = ("drift", "last_t")


def seal(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Move keys and recovery codes out of django-otp's tables, which hold them in the clear."""
    theirs, ours = manager_of(apps, "otp_totp", "TOTPDevice"), manager_of(apps, "migrations_app", "AppDevice")
    for device in theirs.all():
        made = ours.create(**same(device, *CLOCK), secrets=secrets.seal_all({"key": device.key}))
        keep_times(ours, made, device)
    theirs.all().delete()
    theirs, ours = manager_of(apps, "otp_static", "StaticDevice"), manager_of(apps, "migrations_app", "RecoveryDevice")
    codes = manager_of(apps, "migrations_app", "RecoveryCode")
    for device in theirs.all():
        made = ours.create(**same(device))
        keep_times(ours, made, device)
        for digest in digests_of(each.token.lower() for each in device.token_set.all()):
            codes.create(device=made, digest=digest)
    theirs.all().delete()


def open_again(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put the keys back. Nobody knows recovery codes by their digests: people need new ones."""
    theirs, ours = manager_of(apps, "otp_totp", "TOTPDevice"), manager_of(apps, "migrations_app", "AppDevice")
    for device in ours.all():
        made = theirs.create(**same(device, *CLOCK), key=secrets.unseal(device.secrets["key"]))
        keep_times(theirs, made, device)
    ours.all().delete()
    manager_of(apps, "migrations_app", "RecoveryDevice").all().delete()


def manager_of(apps: Apps, label: str, name: str) -> Any:
    return apps.get_model(label, name)._default_manager


def same(device: Any, *more: str) -> dict[str, Any]:
    return {name: getattr(device, name) for name in (*SAME, *more)}


def keep_times(manager: Any, made: Any, device: Any) -> None:
    # Django puts the present time in whatever is given.
    manager.filter(pk=made.pk).update(created_at=device.created_at)


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0015_second_factors"),
        ("otp_static", "0003_add_timestamps"),
        ("otp_totp", "0003_add_timestamps"),
    ]

    operations = [
        migrations.RunPython(seal, open_again),
    ]
