"""Test connection, on the pages of sources and destinations: what is entered is tested, saved or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.crypto import salted_hmac

from connectors import mapping as contract
from connectors.mapping.base import Contract
from migrations_app import secrets
from migrations_app.admin.endpoint_form import EndpointForm
from migrations_app.admin.posting import posted
from migrations_app.admin.stepwise import Keep, Test, answer_stepwise, not_tested
from migrations_app.endpoints_io import EndpointKind, Row
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
    def test(self, request: HttpRequest, row: Row) -> HttpResponseBase:
        """Test what the form says, for who may save it; else what is stored."""
        if "name" not in request.POST or not self.has_change_permission(request, row):  # type: ignore[attr-defined]
            return self._test_stored(row)
        return self._test_entered(request, row)

    @posted(_MAY_TEST, on_list=True, is_audited=False)
    def test_new(self, request: HttpRequest) -> HttpResponseBase:
        """Test what the form of a new one says."""
        if not self.has_add_permission(request):  # type: ignore[attr-defined]
            return HttpResponse(status=403)
        return self._test_entered(request, None)

    def remember_test(self, request: HttpRequest, form: EndpointForm, row: Row) -> None:
        """Give a row that is being saved what a test of just this has found before."""
        part = form.part
        if part is not None and row.last_test is None:
            row.last_test = request.session.get(_REMEMBERED, {}).get(_fingerprint(part))

    def _test_entered(self, request: HttpRequest, row: Row | None) -> HttpResponseBase:
        form = self.get_form(request, row, change=row is not None)(request.POST, instance=row)  # type: ignore[attr-defined]
        form.is_valid()
        part = form.part
        if part is None:
            return not_tested(_mistakes(form))
        label = form.cleaned_data.get("name") or f"new {self.kind.noun}"

        def keep(tested: TestedEnd) -> None:
            if form.is_stored:
                connections.keep(form.instance, tested)
            else:
                _remember(request, part, tested)

        return _answer(lambda: connections.prepare_part(self.kind, part, label, row=row), keep, is_saved=form.is_stored)

    def _test_stored(self, row: Row) -> HttpResponseBase:
        def prepare() -> Test:
            return connections.prepare_part(self.kind, self.kind.load(row), row.name, row=row)

        return _answer(prepare, partial(connections.keep, row), is_saved=True)


def _answer(prepare: Callable[[], Test], keep: Keep, *, is_saved: bool) -> HttpResponseBase:
    try:
        test = prepare()
    except contract.MappingError as error:
        return not_tested([(issue.path, issue.message) for issue in error.issues])
    except secrets.SecretUnreadableError as error:
        return not_tested([("", str(error))])
    return answer_stepwise(test, keep, is_saved=is_saved)


def _remember(request: HttpRequest, part: Contract, tested: TestedEnd) -> None:
    """Keep it for when this is saved. The session may have changed, or ended, while the answer was on its way."""
    session = type(request.session)(request.session.session_key)
    known = dict(session.get(_REMEMBERED, {}))
    known.pop(_fingerprint(part), None)
    known[_fingerprint(part)] = tested.summary()
    session[_REMEMBERED] = dict(list(known.items())[-_REMEMBERED_COUNT:])
    if session.session_key is None:
        return
    with suppress(UpdateError):
        session.save()


def _mistakes(form: EndpointForm) -> list[tuple[str, str]]:
    return [
        (str(form.fields[name].label or name) if name in form.fields else "", str(message))
        for name, messages in form.errors.items()
        for message in messages
        if name not in {"name", "max_runs"}
    ]


def _fingerprint(part: Contract) -> str:
    """The same for the same document, secrets included, and tells nothing of it."""
    text = json.dumps(contract.to_dict(part, reveal=True), sort_keys=True)
    return salted_hmac("migrations_app.tested", text).hexdigest()
