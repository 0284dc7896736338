"""Every page of the admin, found from what is registered: a page that somebody adds joins by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True)
class AdminPage:
    """A page that is asked for by GET.

    Attributes:
        name: Of its address, without `admin:`.
        model: What it is about, as `migrations_app.mapping`; empty for pages of the admin as a whole.
        of_object: Whether it is about one object.
    """

    name: str
    model: str = ""
    of_object: bool = False

    def __str__(self) -> str:
        return self.name


#: Pages of the admin as a whole.
_WHOLE = ("index", "password_change")
#: Pages that Django gives to each model, and whether they are about one object.
_OF_DJANGO = {"changelist": False, "add": False, "change": True, "history": True, "delete": True}
#: What the names of our own pages have in them.
_OF_OURS = "_see_"


def every_page() -> list[AdminPage]:
    """All of them, in an order that is the same in each process."""
    pages = [AdminPage(name) for name in _WHOLE]
    for model, model_admin in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label_lower):
        label, beginning = model._meta.label_lower, label_of(model)
        pages += [AdminPage(f"{beginning}_{kind}", label, of_one) for kind, of_one in _OF_DJANGO.items()]
        for pattern in model_admin.get_urls():
            name = getattr(pattern, "name", None) or ""
            if _OF_OURS in name and name.startswith(beginning):
                of_one = "object_id" in pattern.pattern.converters
                pages.append(AdminPage(name, label, of_one))
    return pages


def label_of(model: Any) -> str:
    """How the names of a model's pages begin."""
    return f"{model._meta.app_label}_{model._meta.model_name}"


def address(name: str, model: str, of_object: bool) -> str | None:
    """The address of a page, of the first object where it is about one; None where there is none. Runs backstage."""
    from django.apps import apps

    arguments = []
    if of_object:
        first = apps.get_model(model)._default_manager.order_by("pk").first()
        if first is None:
            return None
        arguments = [first.pk]
    try:
        return reverse(f"admin:{name}", args=arguments)
    except NoReverseMatch:
        return None
