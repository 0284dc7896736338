"""Signing in: too many mistakes lock one name at one address for a while, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db.models import F
from django.test import Client
from pytest_django import Settings

from migrations_app import tokens
from migrations_app.enums import Scope
from tests.admin.people import PASSWORD, make_user, send_password

pytestmark = pytest.mark.django_db
LIMIT = 5


def fail(client: Client, name: str = "ann", times: int = LIMIT, **extra: str) -> str:
    for _ in range(times):
        answer = send_password(client, name, "wrong", **extra)
    return str(answer.status_code)


def test_right_password_lets_in(client: Client) -> None:
    make_user()

    assert send_password(client).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_too_many_mistakes_lock_the_name_at_the_address(client: Client) -> None:
    make_user()
    fail(client)

    answer = send_password(client)

    assert answer.status_code == 429
    assert "Try again in" in answer.content.decode()
    assert "15 minutes" in answer.content.decode()
    assert 60 <= int(answer["Retry-After"]) <= 900
    assert client.get("/admin/").status_code == 302


def test_others_and_other_addresses_go_on(client: Client) -> None:
    make_user()
    make_user("bob")
    fail(client)

    assert send_password(client, "bob").status_code == 302
    assert send_password(Client(), REMOTE_ADDR="10.1.2.3").status_code == 302


def test_nobody_learns_who_exists(client: Client) -> None:
    make_user()
    answers = {name: [send_password(client, name, "wrong") for _ in range(LIMIT + 1)] for name in ("ann", "nobody")}

    for known, unknown in zip(answers["ann"], answers["nobody"], strict=True):
        assert known.status_code == unknown.status_code
        assert known.content.decode().count("errornote") == unknown.content.decode().count("errornote")


def test_lock_ends_and_is_not_prolonged_by_trying(client: Client) -> None:
    make_user()
    fail(client, times=LIMIT + 3)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=15))

    assert send_password(client).status_code == 302


def test_success_forgets_the_mistakes_before(client: Client) -> None:
    make_user()
    fail(client, times=LIMIT - 1)
    assert send_password(client).status_code == 302

    assert fail(Client(), times=LIMIT - 1) == "200"


def test_lock_is_opened_by_the_command(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    make_user()
    fail(client)

    call_command("axes_reset_username", "ann")

    assert send_password(client).status_code == 302


def test_behind_a_proxy_the_address_is_the_one_that_it_adds(client: Client, settings: Settings) -> None:
    settings.DMS_BEHIND_PROXY = True
    make_user()
    fail(client, HTTP_X_FORWARDED_FOR="1.1.1.1, 10.0.0.1")

    # What the client claims stands before it.
    assert send_password(client, HTTP_X_FORWARDED_FOR="2.2.2.2, 10.0.0.1").status_code == 429
    assert send_password(client, HTTP_X_FORWARDED_FOR="1.1.1.1, 10.0.0.2").status_code == 302


def test_without_a_proxy_nobody_believes_what_a_client_claims(client: Client) -> None:
    make_user()
    for number in range(LIMIT):
        send_password(client, password="wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}")

    assert send_password(client, HTTP_X_FORWARDED_FOR="10.0.0.99").status_code == 429


def test_tokens_of_the_api_are_not_locked(client: Client) -> None:
    make_user()
    _, key = tokens.create("ann", [Scope.MAPPING_READ])
    fail(client)

    assert client.get("/api/v1/mappings", headers={"authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", ""])
def test_strange_names_are_refused(client: Client, name: str) -> None:
    assert send_password(client, name, "wrong").status_code == 200


def test_password_is_not_kept_with_the_attempts(client: Client) -> None:
    make_user()
    send_password(client, password="almost-right")

    assert "almost-right" not in str(AccessAttempt.objects.values().get())


def test_page_can_ask_whether_the_session_still_lets_in(client: Client) -> None:
    make_user()
    assert client.get("/admin/signed-in/").status_code == 403
    send_password(client)

    answer = client.get("/admin/signed-in/")

    assert (answer.status_code, answer.content) == (204, b"")
    # Whoever only asks does not stay signed in for longer.
    assert "sessionid" not in answer.cookies
    client.logout()
    assert client.get("/admin/signed-in/").status_code == 403


def test_session_ends_so_long_after_it_began_whatever_is_put_into_it(client: Client) -> None:
    make_user()
    send_password(client)
    began, ends = client.session.session_key, Session.objects.get().expire_date

    given = {"old_password": PASSWORD, "new_password1": "another-passphrase", "new_password2": "another-passphrase"}
    assert client.post("/admin/password_change/", given).status_code == 302

    assert client.session.session_key != began
    assert Session.objects.get().expire_date == ends


def test_name_that_nobody_has_is_not_kept_and_is_locked_all_the_same(client: Client) -> None:
    make_user()
    slip = "correct-horse-battery"
    for _ in range(LIMIT - 1):
        assert send_password(client, slip, "wrong").status_code == 200

    assert send_password(client, slip, "wrong").status_code == 429
    assert send_password(client, "another-slip", "wrong").status_code == 200
    attempts = list(AccessAttempt.objects.order_by("-failures_since_start").values())
    assert [each["failures_since_start"] for each in attempts] == [LIMIT, 1]
    assert not any(word in str(attempts) for word in ("correct", "battery", "slip"))
