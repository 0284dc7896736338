"""Roles: who may do what. One table says it, and the groups follow it whenever the control database is migrated.

A group gets the permissions that its role has and that it never got before, and loses those that it got from us and
that the role has no longer. So what people have added to a group of ours, or taken from it, stays as they made it, and
groups that people made are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from migrations_app.enums import RoleName

_OURS = "migrations_app"
_LOOKS = (
    *("source", "destination", "mapping", "mappingdestination"),
    *("tablespec", "collectionspec", "topicspec", "apispec"),
    *("stream", "run", "runevent", "streamtotals", "streamschedule"),
    *("servicesettings", "outboxentry", "channel", "heartbeat", "drain"),
)
_MAPPING_PARTS = ("mapping", "mappingdestination", "tablespec", "collectionspec", "topicspec", "apispec")


def _on(models: Iterable[str], *verbs: str) -> frozenset[str]:
    return frozenset(f"{_OURS}.{verb}_{model}" for model in models for verb in verbs)


def _ours(*codenames: str) -> frozenset[str]:
    return frozenset(f"{_OURS}.{codename}" for codename in codenames)


_VIEWER = _on(_LOOKS, "view")
_OPERATOR = _VIEWER | _ours("run_mapping", "view_checkpoint", "test_connection")
_EDITOR = _OPERATOR | _on(_MAPPING_PARTS, "add", "change", "delete") | _ours("preview_data", "reset_checkpoint")
_CONNECTIONS = _VIEWER | _on(("source", "destination"), "add", "change", "delete") | _ours("test_connection")
_PEOPLE = frozenset(f"auth.{verb}_{of}" for of in ("user", "group") for verb in ("view", "add", "change", "delete"))

#: Permissions of each role. A name that ends in ``.*`` stands for every permission of that application.
ROLES: Mapping[RoleName, frozenset[str]] = {
    RoleName.VIEWER: _VIEWER,
    RoleName.OPERATOR: _OPERATOR,
    RoleName.EDITOR: _EDITOR,
    RoleName.CONNECTION_ADMIN: _CONNECTIONS,
    RoleName.ADMIN: _PEOPLE | {f"{_OURS}.*"},
}


def bring_up_to_date(apps: Any, using: str = "default") -> None:
    """Make the groups that are not there yet, and give and take what the table above has changed.

    Args:
        apps: Registry of the models: Django's own, or the one that a Django migration gets.
        using: Which database.
    """
    permissions = _permissions(apps, using)
    for name, wanted in ROLES.items():
        role = _role(apps, using, name)
        if role.group is None:
            continue
        known = {key for each in wanted for key in _expanded(each, permissions)}
        granted = set(role.granted)
        role.group.permissions.add(*(permissions[key] for key in known - granted))
        role.group.permissions.remove(*(permissions[key] for key in granted - known if key in permissions))
        role.granted = sorted(known)
        role.save(using=using)


def forget(apps: Any, using: str = "default") -> None:
    """Take our groups away: what `bring_up_to_date` made."""
    for role in apps.get_model(_OURS, "Role").objects.using(using).exclude(group=None):
        role.group.delete()


def _permissions(apps: Any, using: str) -> dict[str, Any]:
    rows = apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}": row for row in rows}


def _expanded(name: str, permissions: Mapping[str, Any]) -> list[str]:
    """The permissions that a name in the table stands for; those that are not there yet come with a later migration."""
    if name.endswith(".*"):
        return [key for key in permissions if key.startswith(name.removesuffix("*"))]
    return [name] if name in permissions else []


def _role(apps: Any, using: str, name: RoleName) -> Any:
    roles = apps.get_model(_OURS, "Role").objects.using(using)
    groups = apps.get_model("auth", "Group").objects.using(using)
    found = roles.filter(pk=name.value).select_related("group").first()
    if found is not None:
        return found
    # A group that people have called so is theirs.
    is_free = not groups.filter(name=name.value).exists()
    group = groups.create(name=name.value if is_free else f"{name.value} (role)")
    return roles.create(pk=name.value, group=group)
