"""What pages do and show besides Django's own forms: each by POST or GET, for who may, on a row that is there.

A method of an admin class becomes an address by `posted` or `shown`. unfold's own actions are not used: they run
on GET, and for anybody who is signed in where they name no permission.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme

from migrations_app import audit

_MARK = "dms_address"
#: Of a whole number that every column for one can hold.
_MOST_DIGITS = 18
#: The field in which a person types the name of what an action is about; templates/parts/confirm.html has it.
CONFIRM = "confirm"


class Refused(Exception):
    """Nothing was done; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a posted action.

    Attributes:
        sentence: For the person.
        to: Address to go to; empty for where the person came from, or the row's page.
        before, after, details: For the audit log, without secrets.
    """

    sentence: str
    to: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Address:
    """How a method of an admin class is reached.

    Attributes:
        name: The method's.
        permission: What the person needs, with the application's name.
        is_post: It does something; else it only shows.
        on_list: It is about the whole list, not about one row.
        confirm: The name of the row has to be typed.
        is_audited: It changes something, so that the audit log gets an entry.
        reaches_out: It asks another server or starts a process, for which no transaction waits: the entry follows it.
            Else what it does and its entry are one transaction.
    """

    name: str
    permission: str
    is_post: bool
    on_list: bool = False
    confirm: bool = False
    is_audited: bool = True
    reaches_out: bool = False

    @property
    def is_one(self) -> bool:
        """Whether what it does and its entry are there together or not at all."""
        return self.is_audited and not self.reaches_out

    def url_name(self, model: Any) -> str:
        """The address's name within the admin."""
        return f"{model._meta.app_label}_{model._meta.model_name}_{'do' if self.is_post else 'see'}_{self.name}"


def posted(
    permission: str,
    *,
    on_list: bool = False,
    confirm: bool = False,
    is_audited: bool = True,
    reaches_out: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a method `(self, request, row)` an action at ``{row}/do/{its name}/``; see `Address` for the arguments.

    It returns a sentence, a `Done`, or a whole response (a fragment), and may raise `Refused`.
    """

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        setattr(method, _MARK, Address(method.__name__, permission, True, on_list, confirm, is_audited, reaches_out))
        return method

    return mark


def shown(permission: str, *, on_list: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a method `(self, request, row)` that returns a response a page at ``{row}/see/{its name}/``."""

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        setattr(method, _MARK, Address(method.__name__, permission, False, on_list))
        return method

    return mark


def addresses_of(admin_class: type) -> dict[str, Address]:
    """The addresses that an admin class adds, by the method's name."""
    found = {name: getattr(getattr(admin_class, name, None), _MARK, None) for name in dir(admin_class)}
    return {name: address for name, address in found.items() if address is not None}


def url_of(row: Any, name: str) -> str:
    """Where an action or page of a row is; for one of the whole list, give the model."""
    from django.contrib import admin

    model = row if isinstance(row, type) else type(row)
    address = addresses_of(type(admin.site.get_model_admin(model)))[name]
    return reverse(f"admin:{address.url_name(model)}", args=() if address.on_list else (row.pk,))


class WithAddresses:
    """An admin class whose methods may be `posted` or `shown`."""

    admin_site: Any
    model: Any

    def get_urls(self) -> list[URLPattern]:
        """Ours first: Django's last one takes whatever is left."""
        return [*self._own_urls(), *super().get_urls()]  # type: ignore[misc]

    def page_of(self, request: HttpRequest, row: Any) -> str:  # noqa: ARG002 - for those that look at the user
        """Where a person goes after an action: the row's page."""
        return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=(row.pk,))

    def _own_urls(self) -> Iterator[URLPattern]:
        for name, address in addresses_of(type(self)).items():
            kind = "do" if address.is_post else "see"
            route = f"{kind}/{name}/" if address.on_list else f"<path:object_id>/{kind}/{name}/"
            view = self.admin_site.admin_view(self._do(address) if address.is_post else self._see(address))
            view = self._only_signed_in(address, view) if address.is_post else view
            yield path(route, view, name=address.url_name(self.model))

    def _only_signed_in(
        self, address: Address, view: Callable[..., HttpResponseBase]
    ) -> Callable[..., HttpResponseBase]:
        """Who has been signed out meanwhile comes back to the page; the action's own address can only be posted to."""

        @wraps(view)
        def guarded(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            if request.method != "POST" or self.admin_site.has_permission(request):
                return view(request, **arguments)
            messages.warning(request, "Nothing was done, as you were signed out. Sign in, then ask for it again.")
            back = _asked_way(request) or request.path.removesuffix(f"do/{address.name}/")
            return redirect_to_login(back, reverse("admin:login", current_app=self.admin_site.name))

        return guarded

    def _see(self, address: Address) -> Callable[..., HttpResponseBase]:
        @wraps(getattr(type(self), address.name))
        def view(request: HttpRequest, object_id: str | None = None) -> HttpResponseBase:
            if request.method not in {"GET", "HEAD"}:
                return HttpResponseNotAllowed(["GET", "HEAD"])
            row = self._row(request, address, object_id)
            answer: HttpResponseBase = getattr(self, address.name)(request, *row)
            return answer

        return view

    def _do(self, address: Address) -> Callable[..., HttpResponseBase]:
        @wraps(getattr(type(self), address.name))
        def view(request: HttpRequest, object_id: str | None = None) -> HttpResponseBase:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            row = self._row(request, address, object_id)
            # A row that is deleted forgets its key.
            known = [copy(each) for each in row]
            try:
                if address.confirm:
                    _check_confirmed(request, str(row[0]))
                with one_or_after(is_one=address.is_one):
                    answer = self._act(request, address, row, known)
            except Refused as refusal:
                messages.error(request, str(refusal))
                return self._back(request, known, "")
            if isinstance(answer, HttpResponseBase):
                return answer
            messages.success(request, answer.sentence)
            return self._back(request, known, answer.to)

        return view

    def _act(self, request: HttpRequest, address: Address, row: list[Any], known: list[Any]) -> HttpResponseBase | Done:
        answer = getattr(self, address.name)(request, *row)
        if isinstance(answer, HttpResponseBase):
            return answer
        done = answer if isinstance(answer, Done) else Done(answer)
        if address.is_audited:
            self._record(request, address, known, done)
        return done

    def _row(self, request: HttpRequest, address: Address, object_id: str | None) -> list[Any]:
        """The row, if there is to be one, for a person who may have this."""
        if not request.user.has_perm(address.permission):
            raise PermissionDenied
        if object_id is None:
            return []
        row = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if row is None:
            message = f"There is no {self.model._meta.verbose_name} {object_id}."
            raise Http404(message)
        return [row]

    def _record(self, request: HttpRequest, address: Address, row: list[Any], done: Done) -> None:
        target = row[0] if row else self.model()
        given = {"before": done.before, "after": done.after, "details": done.details}
        audit.record(audit.actor_of(request), address.name, target, **given)

    def _back(self, request: HttpRequest, row: list[Any], to: str) -> HttpResponse:
        to = to or _asked_way(request)
        if not to and row and type(row[0]).objects.filter(pk=row[0].pk).exists():
            to = self.page_of(request, row[0])
        to = to or reverse(f"admin:{self.model._meta.app_label}_{self.model._meta.model_name}_changelist")
        if "HX-Request" not in request.headers:
            return HttpResponseRedirect(to)
        # A request of htmx follows a redirect by itself and would put the whole page into its fragment.
        return HttpResponse(headers={"HX-Redirect": iri_to_uri(to)})


def whole_number(text: str) -> int | None:
    """The whole number that somebody sent; None for anything else, and for one that no column can hold."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def one_or_after(*, is_one: bool) -> AbstractContextManager[Any]:
    """What holds an action and its entry together, where they are one transaction."""
    return transaction.atomic() if is_one else nullcontext()


def _asked_way(request: HttpRequest) -> str:
    """The page of this site that the person came from; empty where the form does not say."""
    asked = request.POST.get("next", "")
    return asked if url_has_allowed_host_and_scheme(asked, {request.get_host()}, request.is_secure()) else ""


def _check_confirmed(request: HttpRequest, name: str) -> None:
    if request.POST.get(CONFIRM, "").strip() != name:
        message = f"Nothing was done: type {name} to confirm."
        raise Refused(message)
