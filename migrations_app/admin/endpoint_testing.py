"""Test connection, on the pages of sources and destinations: what is entered is tested, saved or not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from connectors import mapping as contract
from connectors.mapping.base import Contract
from migrations_app import secrets
from migrations_app.admin import slots
from migrations_app.admin.endpoint_form import EndpointForm
from migrations_app.admin.pages import fragment
from migrations_app.admin.posting import posted
from migrations_app.endpoints_io import EndpointKind, Row
from migrations_app.models import Source
from migrations_app.verbs import connections
from migrations_app.verbs.connections import TestedEnd

_MAY_TEST = "migrations_app.test_connection"
#: What was tested before it was saved, by its fingerprint: a few, as people try one thing after the other.
_REMEMBERED = "dms_tested"
_REMEMBERED_COUNT = 5


class TestedAdmin:
    """An admin class of sources or destinations that can be tested."""

    # pytest takes a class of this name for a test.
    __test__ = False

    kind: EndpointKind

    @posted(_MAY_TEST, is_audited=False)
    def test(self, request: HttpRequest, row: Row) -> HttpResponse:
        """Test what the form says, for who may save it; else what is stored."""
        if "name" not in request.POST or not self.has_change_permission(request, row):  # type: ignore[attr-defined]
            return self._answer(request, lambda: _test_stored(row))
        return self._test_entered(request, row)

    @posted(_MAY_TEST, on_list=True, is_audited=False)
    def test_new(self, request: HttpRequest) -> HttpResponse:
        """Test what the form of a new one says."""
        if not self.has_add_permission(request):  # type: ignore[attr-defined]
            return HttpResponse(status=403)
        return self._test_entered(request, None)

    def remember_test(self, request: HttpRequest, form: EndpointForm, row: Row) -> None:
        """Give a row that is being saved what a test of just this has found before."""
        part = form.part
        if part is not None and row.last_test is None:
            row.last_test = request.session.get(_REMEMBERED, {}).get(_fingerprint(part))

    def _test_entered(self, request: HttpRequest, row: Row | None) -> HttpResponse:
        form = self.get_form(request, row, change=row is not None)(request.POST, instance=row)  # type: ignore[attr-defined]
        form.is_valid()
        part = form.part
        if part is None:
            return _shown(request, mistakes=_mistakes(form))
        label = form.cleaned_data.get("name") or f"new {self.kind.noun}"

        def test() -> TestedEnd:
            tested = connections.test_part(self.kind, part, label, row=row)
            self._keep(request, form, part, tested)
            return tested

        return self._answer(request, test, is_saved=form.is_stored)

    def _answer(self, request: HttpRequest, test: Callable[[], TestedEnd], *, is_saved: bool = True) -> HttpResponse:
        began = time.monotonic()
        try:
            with slots.one_of_few():
                tested = test()
        except slots.BusyError as error:
            return _shown(request, mistakes=[("", str(error))])
        except contract.MappingError as error:
            return _shown(request, mistakes=[(issue.path, issue.message) for issue in error.issues])
        except secrets.SecretUnreadableError as error:
            return _shown(request, mistakes=[("", str(error))])
        return _shown(request, tested=tested, seconds=time.monotonic() - began, is_saved=is_saved)

    def _keep(self, request: HttpRequest, form: EndpointForm, part: Contract, tested: TestedEnd) -> None:
        if form.is_stored:
            connections.keep(form.instance, tested)
            return
        known = dict(request.session.get(_REMEMBERED, {}))
        known.pop(_fingerprint(part), None)
        known[_fingerprint(part)] = tested.summary()
        request.session[_REMEMBERED] = dict(list(known.items())[-_REMEMBERED_COUNT:])


def _test_stored(row: Row) -> TestedEnd:
    return connections.test_source(row) if isinstance(row, Source) else connections.test_destination(row)


def _mistakes(form: EndpointForm) -> list[tuple[str, str]]:
    return [
        (str(form.fields[name].label or name) if name in form.fields else "", str(message))
        for name, messages in form.errors.items()
        for message in messages
        if name not in {"name", "max_runs"}
    ]


def _shown(request: HttpRequest, **context: Any) -> HttpResponse:
    return fragment(request, "parts/endpoint_tested.html", **context)


def _fingerprint(part: Contract) -> str:
    """The same for the same document, secrets included, and tells nothing of it."""
    text = json.dumps(contract.to_dict(part, reveal=True), sort_keys=True)
    return salted_hmac("migrations_app.tested", text).hexdigest()
