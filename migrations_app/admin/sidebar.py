"""The sidebar: what there is, in the order in which people need it; each sees what he may."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

#: Group, then per item: title, sign (of Material Symbols), model.
_GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Copying",
        (
            ("Mappings", "account_tree", "migrations_app.mapping"),
            ("Streams", "conversion_path", "migrations_app.stream"),
            ("Runs", "play_circle", "migrations_app.run"),
        ),
    ),
    (
        "Connections",
        (
            ("Sources", "database", "migrations_app.source"),
            ("Destinations", "warehouse", "migrations_app.destination"),
        ),
    ),
    (
        "Service",
        (
            ("Settings", "settings", "migrations_app.servicesettings"),
            ("Workers", "dns", "migrations_app.heartbeat"),
            ("Outbox", "outbox", "migrations_app.outboxentry"),
            ("Channels", "campaign", "migrations_app.channel"),
        ),
    ),
    (
        "Access",
        (
            ("Users", "person", "auth.user"),
            ("Roles", "group", "auth.group"),
            ("API tokens", "key", "migrations_app.apitoken"),
            ("Audit log", "history", "migrations_app.auditentry"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups and items that the person may see."""
    home = {"title": "Home", "icon": "home", "link": reverse("admin:index")}
    groups = [{"title": title, "items": _items(request, items)} for title, items in _GROUPS]
    return [{"items": [home]}, *(group for group in groups if group["items"])]


def _items(request: HttpRequest, items: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    user: Any = request.user
    shown = []
    for title, icon, label in items:
        app, _, model = label.partition(".")
        if user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}"):
            shown.append({"title": title, "icon": icon, "link": reverse(f"admin:{app}_{model}_changelist")})
    return shown
