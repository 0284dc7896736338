"""Pages of what is not allowed, not there, or broken: words, whom to ask, and a way home."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.loader import get_template
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.defaults import server_error

from migrations_app.enums import RoleName
from tests.admin.people import PASSWORD, make_user, signed_in
from tests.controlplane.pages import save_mapping

_HOME = '<a href="/">Go to the home page</a>'


def told(answer: Any, status: int) -> str:
    assert answer.status_code == status
    page = str(answer.content.decode())
    assert _HOME in page
    return " ".join(page.split())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("auth_user_changelist", "see the users"),
        ("migrations_app_source_add", "add a source"),
        ("migrations_app_apitoken_changelist", "see the API tokens"),
    ],
)
def test_who_may_not_reads_what_and_whom_to_ask(name: str, words: str) -> None:
    page = told(signed_in(RoleName.VIEWER).get(reverse(f"admin:{name}")), 403)

    assert f"Your roles do not allow you to <strong>{words}</strong>." in page
    assert "signed in as <strong>ann</strong>, with the role Viewer." in page
    assert "ask somebody with the role Admin" in page


@pytest.mark.django_db
def test_action_that_is_not_allowed_is_named() -> None:
    stream = save_mapping().streams.get()
    address = reverse("admin:migrations_app_stream_do_pause", args=(stream.pk,))
    assert "(stream: pause)" in told(signed_in(RoleName.VIEWER).post(address), 403)


@pytest.mark.django_db
def test_form_of_another_sign_in_is_explained() -> None:
    make_user()
    client = Client(enforce_csrf_checks=True)
    answer = client.post(reverse("admin:login"), {"username": "ann", "password": PASSWORD})
    assert "Nothing was changed" in told(answer, 403)


@pytest.mark.django_db
def test_address_that_does_not_exist_is_shown_as_text(client: Client) -> None:
    page = told(client.get("/no/<script>"), 404)
    assert "There is no such page" in page
    assert "<script" not in page


def test_failure_needs_neither_database_nor_context(rf: RequestFactory) -> None:
    assert "Something failed in the service" in told(server_error(rf.get("/admin/")), 500)
    assert _HOME in get_template("500.html").render()


@pytest.mark.django_db
def test_page_that_fails_tells_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        message = "a secret reason"
        raise RuntimeError(message)

    client = signed_in(RoleName.VIEWER)
    client.raise_request_exception = False
    monkeypatch.setattr("django.contrib.admin.sites.AdminSite.each_context", fail)
    page = told(client.get("/admin/"), 500)
    assert "secret reason" not in page
