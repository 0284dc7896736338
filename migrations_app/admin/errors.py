"""What a person reads who may not do something."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import requires_csrf_token

#: What the admin's own addresses of a model are for, by the ends of their names.
_ACTS = {
    "changelist": "see the {plural}",
    "add": "add a {single}",
    "change": "see or change this {single}",
    "delete": "delete this {single}",
    "history": "see the history of this {single}",
}


@requires_csrf_token
def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Say what is not allowed, and whom to ask."""
    user: Any = getattr(request, "user", None)
    context: dict[str, Any] = {"user": user, "act": _act(request)}
    if user is not None and user.is_authenticated:
        context["roles"] = list(user.groups.order_by("name").values_list("name", flat=True))
    return render(request, "403.html", context, status=403)


def _act(request: HttpRequest) -> str:
    """What was asked for, in words; empty for an address of which nothing is known."""
    name = request.resolver_match.url_name if request.resolver_match is not None else None
    for model in admin.site._registry:  # noqa: SLF001 - there is no other way to the models of a site
        meta = model._meta
        beginning = f"{meta.app_label}_{meta.model_name}_"
        if name and name.startswith(beginning):
            end = name.removeprefix(beginning)
            words = {"single": meta.verbose_name, "plural": meta.verbose_name_plural}
            if end in _ACTS:
                return _ACTS[end].format(**words)
            # An address of ours: do_NAME or see_NAME.
            act = end.removeprefix("do_").removeprefix("see_").replace("_", " ")
            return f"{'see' if end.startswith('see_') else 'do'} this ({meta.verbose_name}: {act})"
    return ""
