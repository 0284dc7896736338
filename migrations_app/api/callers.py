"""Who calls: a program with a token, or a person who is signed in to the pages; and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from migrations_app import tokens
from migrations_app.enums import Scope
from migrations_app.senders import sender_of

_SCHEME = "bearer"
_PERSON = "user:"
#: What a person needs in the admin to do the same.
_PERMISSIONS: dict[Scope, tuple[str, ...]] = {
    Scope.MAPPING_READ: ("view_mapping",),
    # A document says its source and destinations too, which are made or changed with it.
    Scope.MAPPING_WRITE: (
        *("add_mapping", "change_mapping", "delete_mapping"),
        *("add_source", "change_source", "add_destination", "change_destination"),
    ),
    Scope.CONNECTION_READ: ("view_source", "view_destination"),
    Scope.CONNECTION_WRITE: (
        *("add_source", "change_source", "delete_source"),
        *("add_destination", "change_destination", "delete_destination"),
    ),
    Scope.CONNECTION_TEST: ("view_source", "view_destination", "test_connection"),
    Scope.SETTINGS_READ: ("view_servicesettings",),
    Scope.SETTINGS_WRITE: ("change_servicesettings",),
    Scope.RUN_READ: ("view_run",),
    Scope.RUN_WRITE: ("run_mapping",),
    Scope.STATE_READ: ("view_checkpoint",),
    Scope.STATE_WRITE: ("reset_checkpoint",),
    Scope.DATA_READ: ("preview_data",),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent the request.

    Attributes:
        id: Of the token or user; the same for all its requests.
        name: As runs and logs show it.
        scopes: What it may do.
    """

    id: str
    name: str
    scopes: frozenset[Scope]

    is_authenticated = True

    @property
    def pk(self) -> str:
        """What Django's own code asks users for."""
        return self.id

    @property
    def is_person(self) -> bool:
        """Whether somebody asks who is signed in to the pages, and not a program with a token."""
        return self.id.startswith(_PERSON)

    @property
    def sees_values(self) -> bool:
        """Whether it is told what can name a key of a row: errors in their own words, and how far a backfill is."""
        return Scope.STATE_READ in self.scopes


def caller_of(request: Request) -> Caller | None:
    """Who sent the request; None for a stranger."""
    user: Any = request.user
    if isinstance(user, Caller):
        return user
    if user is None or not user.is_authenticated:
        return None
    return Caller(f"{_PERSON}{user.pk}", user.get_username(), scopes_of(user))


def scopes_of(user: Any) -> frozenset[Scope]:
    """What a person may do by the API, which is what he may do on the pages."""
    return frozenset(
        scope
        for scope, needed in _PERMISSIONS.items()
        if user.has_perms([f"migrations_app.{permission}" for permission in needed])
    )


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer dms_...``."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != _SCHEME:
            return None
        try:
            token = tokens.verify(key.strip(), sender_of(request))
        except tokens.TokenRefused as error:
            raise AuthenticationFailed(str(error)) from error
        scopes = frozenset(Scope(word) for word in token.scopes if word in list(Scope))
        return Caller(f"token:{token.pk}", f"token {token.name}", scopes), token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - REST framework's signature
        return "Bearer"


class PageAuthentication(SessionAuthentication):
    """People who are signed in to the admin, for the documentation that they can try out."""

    def authenticate(self, request: Request) -> Any:
        """Whoever may not sign in any more is a stranger here too, whatever his session says."""
        found = super().authenticate(request)
        return found if found is not None and found[0].is_staff else None


class HasScope(BasePermission):
    """The caller has the scope that the operation asks for; operations without one are open to everybody."""

    message = "the token lacks a scope"

    def has_permission(self, request: Request, view: Any) -> bool:
        if view.operation is None:
            # A method that the address does not take is answered so; one that forgot its scope is closed.
            return not hasattr(view, str(request.method).lower())
        scope = view.operation.scope
        if scope is None:
            return True
        caller = caller_of(request)
        if caller is None:
            return False
        self.message = f"the scope {scope} is needed, which {caller.name} does not have"
        return scope in caller.scopes


class CallerThrottle(SimpleRateThrottle):
    """So many requests of one caller in a span of time, counted in each web process."""

    scope = "caller"

    def get_rate(self) -> str | None:
        return settings.DMS_API_RATE or None

    def get_cache_key(self, request: Request, view: Any) -> str | None:  # noqa: ARG002 - REST framework's signature
        caller = caller_of(request)
        return f"dms-api-{caller.id if caller else sender_of(request)}"
