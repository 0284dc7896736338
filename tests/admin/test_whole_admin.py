"""The whole admin, found from what is registered: who may do what, and that nothing is done by a link."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from migrations_app.admin.posting import CONFIRM, addresses_of
from migrations_app.enums import RoleName
from tests.admin.people import make_user
from tests.admin.whole import Place, every_place, sorted_registry

pytestmark = pytest.mark.django_db

_UNFOLD = ("actions_list", "actions_row", "actions_detail", "actions_submit_line")
_FOREIGN = {"django_q", "axes", "otp_totp", "otp_static", "sessions", "contenttypes", "admin"}


@pytest.fixture
def places() -> list[Place]:
    return every_place()


def sign_in(role: RoleName | None, name: str = "somebody") -> Client:
    client = Client()
    client.force_login(make_user(name, role))
    return client


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the methods that were reached; what they do is another matter."""
    reached: list[str] = []

    def stand_in(name: str, method: Any) -> Any:
        def reach(*_: Any) -> str:
            reached.append(name)
            return "done"

        reach.__dict__.update(method.__dict__)
        return reach

    for _, model_admin in sorted_registry():
        for name, address in addresses_of(type(model_admin)).items():
            if address.is_post:
                reached_as = address.url_name(model_admin.model)
                monkeypatch.setattr(type(model_admin), name, stand_in(reached_as, getattr(type(model_admin), name)))
    return reached


@pytest.mark.parametrize("role", [*RoleName, None], ids=str)
def test_role_gets_the_pages_that_are_its_own(places: list[Place], role: RoleName | None) -> None:
    client = sign_in(role)
    wrong = []
    for place in places:
        if place.own is not None and place.own.is_post:
            continue
        status = client.get(place.path).status_code
        is_in = status not in {403, 404} and status < 500
        if is_in != (role in place.allowed):
            wrong.append(f"{place.name}: {status}")
    assert wrong == []


def test_page_that_asks_again_by_itself_notices_that_its_session_has_ended(places: list[Place]) -> None:
    """Else the page to sign in would be put in the place of a piece of it."""
    client = sign_in(RoleName.ADMIN)
    pages = ["/admin/", *(place.path for place in places if place.own is None or not place.own.is_post)]
    asking = []
    for path in pages:
        answer = client.get(path)
        content = "" if answer.streaming else answer.content.decode()
        if "<html" in content and re.search(r'hx-trigger="[^"]*every ', content):
            asking.append(path)
            assert "dms/live.js" in content, path
    assert len(asking) >= 3


@pytest.mark.parametrize("role", [*RoleName, None], ids=str)
def test_role_gets_the_actions_that_are_its_own(places: list[Place], called: list[str], role: RoleName | None) -> None:
    client = sign_in(role)
    wrong = []
    for place in places:
        if place.own is None or not place.own.is_post:
            continue
        called.clear()
        status = client.post(place.path, {CONFIRM: str(place.row)}).status_code
        if (called == [place.name]) != (role in place.allowed) or (status == 403) == (role in place.allowed):
            wrong.append(f"{place.name}: {status}, reached {called}")
    assert wrong == []


def test_nothing_is_done_by_a_link(places: list[Place], called: list[str]) -> None:
    client = Client()
    client.force_login(User.objects.get(username="superuser"))
    posted = [place for place in places if place.own is not None and place.own.is_post]
    assert posted

    assert {client.get(place.path).status_code for place in posted} == {405}
    assert {client.head(place.path).status_code for place in posted} == {405}
    assert called == []


def test_nothing_is_done_without_the_token_of_the_form(places: list[Place], called: list[str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="superuser"))
    for place in places:
        assert client.post(place.path, {CONFIRM: str(place.row), "post": "yes"}).status_code in {403, 405}, place.name
    assert called == []


def test_strangers_are_sent_to_sign_in(places: list[Place], called: list[str], client: Client) -> None:
    whole = [reverse(f"admin:{name}") for name in ("index", "search", "autocomplete", "password_change", "jsi18n")]
    for path in [*(place.path for place in places), *whole]:
        for answer in (client.get(path), client.post(path, {"post": "yes"})):
            assert answer.status_code in {302, 405}, path
            if answer.status_code == 302:
                assert answer["Location"].startswith("/admin/login/"), path
    assert called == []


def test_users_who_are_no_staff_are_strangers(places: list[Place], client: Client) -> None:
    client.force_login(make_user("api", RoleName.ADMIN, is_staff=False))

    assert {client.get(place.path).status_code for place in places if not (place.own and place.own.is_post)} == {302}


def test_actions_of_unfold_are_not_used() -> None:
    for model, model_admin in sorted_registry():
        used = [name for name in _UNFOLD if getattr(model_admin, name, None)]
        assert not used, f"{model}: unfold runs {used} on GET, for everybody who is signed in; use posted"


def test_actions_on_selections_name_their_permission() -> None:
    for model, model_admin in sorted_registry():
        for function, name, _ in model_admin._get_base_actions():
            assert getattr(function, "allowed_permissions", None), f"{model}: {name} names no permission"


def test_addresses_name_permissions_that_there_are() -> None:
    known = {f"{each.content_type.app_label}.{each.codename}" for each in Permission.objects.all()}
    for _, model_admin in sorted_registry():
        for address in addresses_of(type(model_admin)).values():
            assert address.permission in known, address


def test_pages_of_other_packages_are_not_there() -> None:
    assert not {model._meta.app_label for model in admin.site._registry} & _FOREIGN


def test_choices_of_a_field_are_for_who_may_see_them(client: Client) -> None:
    asked = {"app_label": "migrations_app", "model_name": "mapping", "field_name": "source"}

    assert sign_in(RoleName.VIEWER, "viewer").get(reverse("admin:autocomplete"), asked).status_code == 200
    assert sign_in(None).get(reverse("admin:autocomplete"), asked).status_code == 403
