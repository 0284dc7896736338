"""The second factor: asked for, set up, renewed, removed, required; and nobody gets around it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from migrations_app import second_step
from migrations_app.enums import RoleName
from migrations_app.models import AppDevice, AuditEntry, RecoveryCode
from migrations_app.models.second_factors import new_app_secrets
from tests.admin.people import code_of, make_user, send_password, with_app

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"


def page() -> str:
    return reverse("two_factor")


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def send_code(client: Client, code: str, **more: str) -> Any:
    return client.post(f"{LOGIN}?next=/admin/", {"code": code, **more})


def forget_mistakes() -> None:
    """Wrong codes are followed by a pause."""
    long_ago = timezone.now() - timedelta(hours=1)
    AppDevice.objects.update(throttling_failure_timestamp=long_ago)


def test_password_alone_lets_nobody_in_who_has_a_second_factor(client: Client) -> None:
    device = with_app(make_user(is_superuser=True))
    send_password(client)

    assert client.get("/admin/").status_code == 302
    assert client.get(page()).status_code == 302
    assert client.get("/admin/password_change/").status_code == 302
    assert client.get("/api/v1/mappings").status_code == 401
    assert "one-time-code" in text_of(client.get(LOGIN))

    assert send_code(client, code_of(device))["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    assert client.get("/api/v1/mappings").status_code == 200


def test_wrong_code_lets_nobody_in_and_is_followed_by_a_pause(client: Client) -> None:
    device = with_app(make_user())
    send_password(client)

    answer = send_code(client, "000000")
    assert "not right" in text_of(answer)
    assert "Wait" in text_of(answer)
    # The right one, too soon.
    assert send_code(client, code_of(device)).status_code == 200
    assert client.get("/admin/").status_code == 302


def test_code_counts_once(client: Client) -> None:
    device = with_app(make_user())
    code = code_of(device)
    send_password(client)
    assert send_code(client, code).status_code == 302

    other = Client()
    send_password(other)
    assert send_code(other, code).status_code == 200
    assert other.get("/admin/").status_code == 302


def test_code_of_somebody_else_lets_nobody_in(client: Client) -> None:
    with_app(make_user())
    theirs = with_app(make_user("bob"))
    send_password(client)

    assert send_code(client, code_of(theirs)).status_code == 200
    assert client.get("/admin/").status_code == 302


def test_session_gets_another_key_by_the_code(client: Client) -> None:
    device = with_app(make_user())
    send_password(client)
    before = client.session.session_key
    send_code(client, code_of(device))

    assert client.session.session_key != before


def test_recovery_code_lets_in_once(client: Client) -> None:
    user = make_user()
    with_app(user)
    codes = second_step.new_recovery_codes(user)
    send_password(client)
    assert send_code(client, codes[0].upper()).status_code == 302
    assert second_step.codes_left(user) == len(codes) - 1

    other = Client()
    send_password(other)
    assert send_code(other, codes[0]).status_code == 200


def test_who_came_in_by_a_recovery_code_stays_in_with_new_ones(client: Client) -> None:
    user = make_user()
    with_app(user)
    first, second, *_ = second_step.new_recovery_codes(user)
    send_password(client)
    send_code(client, first)

    answer = client.post(page(), {"code": second, "renew": "1"})

    assert len(answer.context["codes"]) == second_step.codes_left(user) == 10
    assert client.get("/admin/").status_code == 200
    other = Client()
    send_password(other)
    assert send_code(other, second).status_code == 200


def test_one_can_sign_in_as_somebody_else(client: Client) -> None:
    with_app(make_user())
    send_password(client)

    send_code(client, "", start_over="1")

    assert "one-time-code" not in text_of(client.get(LOGIN))
    assert "_auth_user_id" not in client.session


def test_next_page_is_one_of_ours(client: Client) -> None:
    device = with_app(make_user())
    send_password(client)

    answer = client.post(f"{LOGIN}?next=https://evil.example/", {"code": code_of(device)})

    assert answer["Location"] == "/admin/"


def set_up(client: Client, user: User) -> Any:
    shown = text_of(client.post(page(), {"begin": "1"}))
    device = AppDevice.objects.get(user=user, confirmed=False)
    assert "<svg" in shown
    return client.post(page(), {"code": code_of(device)})


def test_setting_up_shows_picture_and_key_and_then_the_recovery_codes(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    assert "It is off" in text_of(client.get(page()))

    answer = set_up(client, user)

    codes = answer.context["codes"]
    assert len(set(codes)) == RecoveryCode.objects.count() == 10
    assert all(code in text_of(answer) for code in codes)
    assert "It is on" in text_of(client.get(page()))
    assert all(code not in text_of(client.get(page())) for code in codes)
    assert client.get("/admin/").status_code == 200


def test_secret_that_no_code_was_shown_of_does_not_count(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    client.post(page(), {"begin": "1"})
    client.post(page(), {"code": "000000"})

    assert not second_step.has_device(user)
    assert send_password(Client()).status_code == 302


def test_one_that_was_begun_twice_at_once_is_set_up_all_the_same(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    for _ in range(2):
        AppDevice.objects.create(user=user, name="app", confirmed=False, secrets=new_app_secrets())

    assert client.post(page(), {"begin": "1"}).status_code == 200
    begun = AppDevice.objects.earliest("pk")
    assert "recovery" in text_of(client.post(page(), {"code": code_of(begun)}))
    assert list(AppDevice.objects.values_list("pk", "confirmed")) == [(begun.pk, True)]


def test_removing_and_renewing_need_a_code(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    set_up(client, user)
    device = AppDevice.objects.get(user=user)
    old = set(RecoveryCode.objects.values_list("digest", flat=True))

    client.post(page(), {"code": "000000", "remove": "1"})
    assert second_step.has_device(user)
    forget_mistakes()
    answer = client.post(page(), {"code": code_of(device, 1), "renew": "1"})
    codes = answer.context["codes"]
    assert all(code in text_of(answer) for code in codes)
    new = set(RecoveryCode.objects.values_list("digest", flat=True))
    assert len(new) == 10
    assert not old & new

    client.post(page(), {"code": codes[3], "remove": "1"})
    assert not second_step.has_device(user)
    assert client.get("/admin/").status_code == 200
    failed = "second_step_failed"
    done = AuditEntry.objects.exclude(action=failed).order_by("id").values_list("action", "target_name")
    assert list(done) == [(action, "ann") for action in ("second_factor_on", "new_recovery_codes", "second_factor_off")]


def test_older_session_without_code_cannot_touch_it(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    with_app(user)

    answer = client.post(page(), {"begin": "1"}, follow=True)

    assert "<svg" not in text_of(answer)
    assert client.get("/admin/").status_code == 302


def test_older_sessions_owe_a_code_from_when_it_is_set_up(client: Client) -> None:
    user = make_user(role=RoleName.VIEWER)
    elsewhere = Client()
    for each in (client, elsewhere):
        each.force_login(user)
    set_up(client, user)

    assert client.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302
    assert elsewhere.get("/api/v1/mappings").status_code == 401
    assert "one-time-code" in text_of(elsewhere.get(LOGIN))
    assert send_code(elsewhere, code_of(AppDevice.objects.get(user=user), 1)).status_code == 302
    assert elsewhere.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    ("required", "role", "led"),
    [
        ("none", RoleName.ADMIN, False),
        ("admins", RoleName.ADMIN, True),
        ("admins", RoleName.EDITOR, False),
        ("all", RoleName.VIEWER, True),
    ],
)
def test_whoever_has_to_have_one_is_led_to_it(
    client: Client, settings: Settings, required: str, role: RoleName, led: bool
) -> None:
    settings.DMS_REQUIRE_TWO_FACTOR = required
    user = make_user(role=role)
    client.force_login(user)

    answer = client.get("/admin/")
    assert (answer.status_code, answer.headers.get("Location")) == ((302, page()) if led else (200, None))
    assert client.get("/api/v1/mappings").status_code == (401 if led else 200)
    if led:
        assert "asks for it" in text_of(client.get(page()))
        set_up(client, user)
        assert client.get("/admin/").status_code == 200
        assert client.get("/api/v1/mappings").status_code == 200


def test_strangers_see_nothing_of_it(client: Client) -> None:
    assert client.get(page()).status_code == 302
    assert client.post(page(), {"begin": "1"}).status_code == 302
    assert not AppDevice.objects.exists()


def test_forms_need_their_token(client: Client) -> None:
    guarded = Client(enforce_csrf_checks=True)
    user = make_user()
    guarded.force_login(user)

    assert guarded.post(page(), {"begin": "1"}).status_code == 403
    assert not AppDevice.objects.exists()
