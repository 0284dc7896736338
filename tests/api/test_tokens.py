"""Who may do what: tokens with scopes, for a time, from certain networks."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from migrations_app.enums import Scope
from migrations_app.models import ApiToken
from tests.api.calling import Caller, caller
from tests.controlplane.builders import raw_mapping

pytestmark = pytest.mark.django_db


def make_token(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_stranger_is_asked_for_a_token() -> None:
    answer = Caller().get("/mappings")

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["code"] == "not_authenticated"


def test_command_prints_a_key_that_opens_the_api_and_is_not_kept() -> None:
    key = make_token("jobs", "--scope", "mapping:read")

    assert Caller(key).get("/mappings").status == 200
    row = ApiToken.objects.get()
    assert key not in str(row.__dict__)
    assert row.last_used_at is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ["x", "--scope", "everything"],
        ["x", "--network", "10.0.0.1/8"],
        ["x", "--days", "-1"],
        ["taken"],
        [" "],
        ["n" * 101],
    ],
)
def test_command_refuses_what_is_no_token(arguments: list[str]) -> None:
    make_token("taken")

    with pytest.raises(CommandError) as refused:
        make_token(*arguments)
    assert refused.value.returncode == 2


def test_wrong_key_opens_nothing(api: Caller) -> None:
    for key in (api.key[:-1], api.key + "x", api.key.swapcase(), "dms_", "\u00e9"):
        assert Caller(key).get("/mappings").status == 401, key


def test_token_ends_with_its_time() -> None:
    ended = caller(expires_at=timezone.now() - timedelta(seconds=1))

    answer = ended.get("/mappings")
    assert answer.status == 401
    assert "expired" in answer.body["detail"]


def test_token_is_bound_to_its_networks(settings: Settings) -> None:
    bound = caller(networks=["10.1.0.0/16"])

    assert bound.get("/mappings").status == 401
    settings.DMS_BEHIND_PROXY = True
    # Whatever the caller claims to come from stands before what the proxy has added.
    assert bound.get("/mappings", X_Forwarded_For="10.1.2.3, 192.0.2.1").status == 401
    assert bound.get("/mappings", X_Forwarded_For="192.0.2.1, 10.1.2.3").status == 200


def test_scope_is_needed_and_named() -> None:
    reader = caller(scopes=[Scope.MAPPING_READ])

    assert reader.get("/mappings").status == 200
    answer = reader.put("/mappings/shop", raw_mapping())
    assert (answer.status, answer.body["code"]) == (403, "forbidden")
    assert "mapping:write" in answer.body["detail"]
    writer = caller("writer", [Scope.MAPPING_WRITE])
    assert "connection:test" in writer.put("/mappings/shop?connect=true", raw_mapping()).body["detail"]


def test_caller_that_asks_too_often_is_told_when_to_come_back(settings: Settings) -> None:
    cache.clear()
    settings.DMS_API_RATE = "3/minute"
    busy, other = caller("busy"), caller("other")

    answers = [busy.get("/mappings") for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].body["code"] == "throttled"
    assert other.get("/mappings").status == 200


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("DMS_API_RATE", "often", "migrations_app.E006"),
        ("DMS_API_RATE", "0/minute", "migrations_app.E006"),
        ("DMS_ALLOWED_NETWORKS", ("10.0.0.1/8",), "migrations_app.E005"),
    ],
)
def test_setting_that_cannot_be_read_is_found_by_the_checks(
    settings: Settings, setting: str, value: object, code: str
) -> None:
    setattr(settings, setting, value)

    with pytest.raises(SystemCheckError, match=code):
        call_command("check")


def test_person_may_do_in_the_api_what_the_admin_allows(client: Client) -> None:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_mapping"))
    client.force_login(user)
    ann = Caller(client=client)

    assert ann.get("/mappings").status == 200
    assert ann.put("/mappings/shop", raw_mapping()).status == 403


def test_person_who_may_not_sign_in_any_more_is_a_stranger(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    assert Caller(client=client).get("/mappings").status == 200

    User.objects.update(is_staff=False)

    assert Caller(client=client).get("/mappings").status == 401


def test_page_of_another_site_cannot_use_a_session(admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)

    answer = Caller(client=client).put("/mappings/shop", raw_mapping())

    assert (answer.status, answer.body["code"]) == (403, "forbidden")
