"""A cron in words beside its field, with the next times in the settings' time zone."""

from __future__ import annotations

import pytest

from migrations_app import settings_io
from tests.admin.editing import address
from tests.admin.people import staff
from tests.controlplane.builders import raw_settings

pytestmark = pytest.mark.django_db


def ask(cron: str) -> str:
    answer = staff("view_mapping").get(address("cron_words", "see"), {"cron": cron})
    assert answer.status_code == 200
    return answer.content.decode()


def test_words_and_times_are_in_the_zone_of_the_settings() -> None:
    settings = raw_settings(timezone="Asia/Kolkata", fastapi_server=True)
    settings_io.save_settings(settings_io.parse_settings(settings))

    html = ask("* * * * mon 2 30 0")

    assert "At 02:30, on Monday" in html
    assert "(Asia/Kolkata)" in html
    assert html.count("02:30:00 IST</time>") == 5
    assert "fastapi_server" not in html


def test_a_service_that_schedules_nothing_says_so() -> None:
    html = ask("* * * * * 2 30 0")
    assert "Nothing is scheduled now, since Schedule jobs is off in the service settings." in html
    assert "fastapi_server" not in html


def test_a_cron_that_cannot_be_read_says_which_field() -> None:
    assert "field 6 of 8 (hour) cannot be read" in ask("* * * * * 25 0 0")


def test_a_cron_that_is_never_due_says_so() -> None:
    assert "not due within the next fifty years" in ask("* 2 30 * * 0 0 0")


def test_self_managed_has_no_times() -> None:
    html = ask("self-managed")
    assert "No schedule" in html
    assert "<time" not in html


def test_it_is_for_those_who_see_mappings() -> None:
    assert staff().get(address("cron_words", "see"), {"cron": "* * * * * * * *"}).status_code == 403
