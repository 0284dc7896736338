"""Signing in and out is in the audit log: who, from where, what failed; bounded, and without what was typed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from migrations_app import second_step
from migrations_app.admin import sign_ins
from migrations_app.enums import RoleName
from migrations_app.models import AppDevice, AuditEntry
from tests.admin.people import PASSWORD, code_of, make_user, send_password, with_app

pytestmark = pytest.mark.django_db
HERE: dict[str, Any] = {"REMOTE_ADDR": "10.1.2.3"}
#: A password in the field for the name.
SLIP = "correct-horse-battery"


def entries(**fields: Any) -> list[tuple[str, str, str]]:
    found = AuditEntry.objects.filter(**fields).order_by("id")
    return list(found.values_list("actor", "action", "target_name"))


def everything() -> str:
    return str(list(AuditEntry.objects.values()))


def make_older(hours: float) -> None:
    """Entries are never changed; a test makes time pass by other means."""
    moment = timezone.now() - timedelta(hours=hours)
    super(type(AuditEntry.objects.all()), AuditEntry.objects.all()).update(at=moment)


def test_signing_in_and_out_is_entered_with_the_address(client: Client) -> None:
    make_user(role=RoleName.VIEWER)
    send_password(client, **HERE, HTTP_X_REQUEST_ID="r-1")
    assert client.get("/admin/").status_code == 200
    client.post(reverse("admin:logout"), **HERE)

    assert entries() == [("ann", "sign_in", "ann"), ("ann", "sign_out", "ann")]
    first = AuditEntry.objects.earliest("id")
    assert (first.via, first.address, first.request_id, first.details) == ("admin", "10.1.2.3", "r-1", {})
    assert set(AuditEntry.objects.values_list("address", flat=True)) == {"10.1.2.3"}


def test_pages_and_forms_that_sign_nobody_in_leave_nothing(client: Client) -> None:
    make_user()
    client.get(reverse("admin:login"))
    client.post(reverse("admin:login"), {"username": "", "password": ""})
    client.post(reverse("admin:logout"))

    assert entries() == []


def test_wrong_password_is_entered_for_its_user_by_nobody(client: Client) -> None:
    make_user()
    send_password(client, password="mistyped-passphrase", **HERE)

    assert entries() == [("(not signed in)", "sign_in_failed", "ann")]
    assert AuditEntry.objects.get().address == "10.1.2.3"
    assert "mistyped" not in everything()
    assert PASSWORD not in everything()


def test_name_that_nobody_has_is_not_kept(client: Client) -> None:
    send_password(client, name=SLIP)

    assert entries() == [("(not signed in)", "sign_in_failed", "")]
    assert "nobody has" in AuditEntry.objects.get().details["name"]
    assert not any(part in everything() for part in (SLIP, "correct", "battery"))


@pytest.mark.parametrize("fields", [{"is_staff": False}, {"is_active": False}])
def test_right_password_of_who_may_not_sign_in_is_entered(client: Client, fields: dict[str, Any]) -> None:
    make_user(**fields)
    send_password(client)

    assert entries() == [("(not signed in)", "sign_in_failed", "ann")]


def test_lock_out_is_entered_once(client: Client) -> None:
    make_user()
    for _ in range(9):
        send_password(client, password="wrong", **HERE)
    # The right one, while it is locked.
    assert send_password(client, **HERE).status_code == 429

    assert [action for _, action, _ in entries()] == ["sign_in_failed"] * 4 + ["lock_out"]
    assert AuditEntry.objects.latest("id").details == {"failures": 5}

    for _ in range(9):
        send_password(client, name=SLIP, password="wrong", **HERE)
    assert entries(action="lock_out") == [("(not signed in)", "lock_out", name) for name in ("ann", "")]
    assert SLIP not in everything()


def test_brute_force_leaves_so_many_entries_an_hour_and_the_last_says_so(client: Client) -> None:
    make_user()
    make_user("bob")
    for number in range(sign_ins.MOST + 5):
        send_password(client, password="wrong", REMOTE_ADDR=f"10.1.2.{number}")
        send_password(client, name=f"nobody-{number}", password="wrong", REMOTE_ADDR=f"10.1.2.{number}")
    # Others are entered all the same.
    send_password(client, name="bob", password="wrong")

    assert AuditEntry.objects.filter(target_name="ann").count() == sign_ins.MOST
    assert AuditEntry.objects.filter(target_name="").count() == sign_ins.MOST
    assert AuditEntry.objects.filter(target_name="bob").count() == 1
    told = [entry.target_name for entry in AuditEntry.objects.order_by("id") if "from here on" in entry.details]
    assert told == ["ann", ""]

    make_older(hours=1.1)
    send_password(client, password="wrong", REMOTE_ADDR="10.1.2.200")
    assert AuditEntry.objects.filter(target_name="ann").count() == sign_ins.MOST + 1


def test_sign_in_is_entered_whatever_failed_before(client: Client) -> None:
    make_user()
    for number in range(sign_ins.MOST + 1):
        send_password(client, password="wrong", REMOTE_ADDR=f"10.1.2.{number}")
    send_password(client, **HERE)

    assert entries(action="sign_in") == [("ann", "sign_in", "ann")]


def test_second_step_is_entered_when_owed_failed_and_taken(client: Client) -> None:
    user = make_user()
    device = with_app(user)
    send_password(client)
    client.post(reverse("admin:login"), {"code": "000000"})
    AppDevice.objects.update(throttling_failure_timestamp=None)
    client.post(reverse("admin:login"), {"code": code_of(device)})

    assert [action for _, action, _ in entries()] == ["sign_in", "second_step_failed", "second_step"]
    assert {actor for actor, _, _ in entries()} == {"ann"}
    said = AuditEntry.objects.order_by("id").values_list("details", flat=True)
    assert list(said) == [{"code": "still owed"}, {}, {"by": "app"}]


def test_recovery_code_is_named_as_such_and_not_quoted(client: Client) -> None:
    user = make_user()
    with_app(user)
    (code, *_) = second_step.new_recovery_codes(user)
    send_password(client)
    client.post(reverse("admin:login"), {"code": code})

    assert AuditEntry.objects.latest("id").details == {"by": "recovery code"}
    assert code not in everything()


def test_wrong_codes_are_bounded_too(client: Client) -> None:
    with_app(make_user())
    send_password(client)
    for _ in range(sign_ins.MOST + 3):
        client.post(reverse("admin:login"), {"code": "000000"})

    assert AuditEntry.objects.filter(action="second_step_failed").count() == sign_ins.MOST


def test_wrong_code_for_removing_is_entered(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    client.post(reverse("two_factor"), {"begin": "1"})
    client.post(reverse("two_factor"), {"code": code_of(AppDevice.objects.get())})
    client.post(reverse("two_factor"), {"code": "000000", "remove": "1"})

    assert [action for _, action, _ in entries()] == ["second_factor_on", "second_step_failed"]


def test_key_that_is_gone_is_no_wrong_code(client: Client, settings: Settings) -> None:
    device = with_app(make_user())
    send_password(client)
    AppDevice.objects.update(secrets={"key": "sealed:00000000:gone"})
    client.post(reverse("admin:login"), {"code": code_of(device)})

    assert [action for _, action, _ in entries()] == ["sign_in"]
