"""The whole admin for tests, found from what is registered, and the tables that say who may do what.

A page or a permission that somebody adds has to be entered here, or asks for a permission that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

import controlplane.urls  # noqa: F401 - registers the pages
from migrations_app.admin.posting import Address, addresses_of
from migrations_app.enums import RoleName
from migrations_app.models import Channel, Heartbeat
from tests.admin.people import make_user
from tests.browser import scenes

V, O, E, C, A = RoleName  # noqa: E741 - one letter for each role
ALL = frozenset({V, O, E, C, A})
NOBODY: frozenset[RoleName] = frozenset()

#: Who may look at, add, change and delete the rows of a model on its pages.
MODELS: dict[str, tuple[frozenset[RoleName], ...]] = {
    "migrations_app.mapping": (ALL, frozenset({E, A}), frozenset({E, A}), frozenset({E, A})),
    "migrations_app.source": (ALL, frozenset({C, A}), frozenset({C, A}), frozenset({C, A})),
    "migrations_app.destination": (ALL, frozenset({C, A}), frozenset({C, A}), frozenset({C, A})),
    "migrations_app.stream": (ALL, NOBODY, frozenset({A}), NOBODY),
    "migrations_app.run": (ALL, NOBODY, NOBODY, NOBODY),
    "migrations_app.servicesettings": (ALL, NOBODY, frozenset({A}), NOBODY),
    "migrations_app.outboxentry": (ALL, NOBODY, NOBODY, NOBODY),
    "migrations_app.channel": (ALL, NOBODY, NOBODY, NOBODY),
    "migrations_app.heartbeat": (ALL, NOBODY, NOBODY, NOBODY),
    "migrations_app.apitoken": (frozenset({A}), frozenset({A}), NOBODY, frozenset({A})),
    "migrations_app.auditentry": (frozenset({A}), NOBODY, NOBODY, NOBODY),
    "auth.user": (frozenset({A}), frozenset({A}), frozenset({A}), frozenset({A})),
    "auth.group": (frozenset({A}), frozenset({A}), frozenset({A}), frozenset({A})),
}
#: Who has the permissions that pages and actions of our own ask for.
PERMISSIONS: dict[str, frozenset[RoleName]] = {
    "migrations_app.run_mapping": frozenset({O, E, A}),
    "migrations_app.reset_checkpoint": frozenset({E, A}),
    "migrations_app.preview_data": frozenset({E, A}),
    "migrations_app.test_connection": frozenset({O, E, C, A}),
    "migrations_app.view_checkpoint": frozenset({O, E, A}),
    "migrations_app.view_auditentry": frozenset({A}),
    **{f"migrations_app.view_{name}": ALL for name in ("mapping", "stream", "run", "source", "destination")},
    **{f"migrations_app.view_{name}": ALL for name in ("servicesettings", "outboxentry", "channel", "heartbeat")},
    **{f"migrations_app.{verb}_mapping": frozenset({E, A}) for verb in ("add", "change", "delete")},
    **{f"migrations_app.{verb}_source": frozenset({C, A}) for verb in ("add", "change", "delete")},
    **{f"migrations_app.{verb}_destination": frozenset({C, A}) for verb in ("add", "change", "delete")},
    **{f"migrations_app.{verb}_servicesettings": frozenset({A}) for verb in ("add", "change", "delete")},
    "auth.change_user": frozenset({A}),
    "auth.change_group": frozenset({A}),
}
#: What Django adds to each model, by the end of its name, and whether it is about one row.
_LISTS = {"changelist": 0, "add": 1}
_ROWS = {"change": 0, "history": 0, "delete": 3, "password_change": 2}


@dataclass(frozen=True)
class Place:
    """An address of the admin, and who may be there."""

    name: str
    path: str
    allowed: frozenset[RoleName]
    own: Address | None = None
    row: Any = None


def every_place() -> list[Place]:
    """Every address of every registered model, about a row that is there."""
    make_user("superuser", is_superuser=True)
    scenes.one_of_each()
    make_user("plain")
    Channel.objects.get_or_create(name="slack:#data")
    Heartbeat.objects.get_or_create(name="tick")
    found = [place for model, each in sorted_registry() for place in _places_of(model, each)]
    assert len(found) > 60
    return found


def sorted_registry() -> list[tuple[Any, Any]]:
    return sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label_lower)


def _places_of(model: Any, model_admin: Any) -> Iterator[Place]:
    label = model._meta.label_lower
    assert label in MODELS, f"say in MODELS who may look at, add, change and delete {label}"
    beginning = f"{model._meta.app_label}_{model._meta.model_name}_"
    own = {each.url_name(model): each for each in addresses_of(type(model_admin)).values()}
    # Of users the last one, who is nobody that has more than others.
    row = model._default_manager.order_by("-pk" if model is User else "pk").first()
    assert row is not None, f"make one {label} in the fixture"
    for pattern in model_admin.get_urls():
        name = getattr(pattern, "name", None)
        if name is None:
            # Django's address of a row without a name, which leads to its page.
            continue
        is_of_row = bool(pattern.pattern.converters)
        path = reverse(f"admin:{name}", args=(row.pk,) if is_of_row else ())
        if name in own:
            wanted = own[name].permission
            assert wanted in PERMISSIONS, f"say in PERMISSIONS who has {wanted}, which {name} asks for"
            yield Place(name, path, PERMISSIONS[wanted], own[name], row)
        else:
            kinds = _ROWS if is_of_row else _LISTS
            kind = name.removeprefix(beginning)
            assert kind in kinds, f"{name} is neither Django's nor made by posted or shown"
            yield Place(name, path, MODELS[label][kinds[kind]])
