"""What the control database holds of second factors: sealed keys and digests, before and after the Django migration."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from migrations_app import second_step, secrets
from migrations_app.models import AppDevice, AuditEntry, RecoveryCode, RecoveryDevice
from migrations_app.models.second_factors import bare
from tests.admin.people import code_of, make_user, send_password, with_app
from tests.databases import PgDatabase

ROOT = Path(second_step.__file__).resolve().parent.parent
LOGIN = "/admin/login/"
BEFORE = "0014_partial_indexes"
pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def new_key() -> str:
    return Fernet.generate_key().decode()


def test_key_is_sealed_and_codes_are_digests() -> None:
    user = make_user()
    device = second_step.begin(user)
    codes = second_step.new_recovery_codes(user)

    stored = str([*AppDevice.objects.values(), *RecoveryDevice.objects.values(), *RecoveryCode.objects.values()])

    assert device.secrets["key"].startswith(f"sealed:{secrets.key_ring().current_id}:")
    assert device.bin_key.hex() not in stored
    assert device.shown_key not in stored
    assert not any(code in stored or bare(code) in stored for code in codes)
    assert len({len(bare(code)) for code in codes} | {16}) == 1


def test_code_still_counts_after_keys_were_rotated(client: Client, settings: Settings) -> None:
    old, new = new_key(), new_key()
    settings.DMS_SECRET_KEYS = [old]
    user = make_user()
    device = with_app(user)
    (recovery, *_) = second_step.new_recovery_codes(user)
    settings.DMS_SECRET_KEYS = [new, old]
    out = StringIO()
    call_command("rotate_secrets", stdout=out)
    settings.DMS_SECRET_KEYS = [new]

    assert "(current): 1 secret\n" in out.getvalue()
    assert "(older): 0 secrets" in out.getvalue()
    assert AuditEntry.objects.filter(action="rotate_secrets", target_type="appdevice").count() == 1
    device.refresh_from_db()
    for code in (code_of(device), recovery):
        stranger = Client()
        send_password(stranger)
        assert stranger.post(f"{LOGIN}?next=/admin/", {"code": code}).status_code == 302


def test_rotation_says_whose_key_cannot_be_read(settings: Settings) -> None:
    with_app(make_user())
    settings.DMS_SECRET_KEYS = [new_key()]

    with pytest.raises(CommandError, match=r"second factor app \(ann\): .* DMS_SECRET_KEYS does not hold"):
        call_command("rotate_secrets", stdout=StringIO())


def test_page_says_when_the_key_is_gone_and_recovery_codes_still_count(client: Client, settings: Settings) -> None:
    user = make_user()
    code = code_of(with_app(user))
    (recovery, *_) = second_step.new_recovery_codes(user)
    settings.DMS_SECRET_KEYS = [new_key()]
    send_password(client)

    answer = client.post(LOGIN, {"code": code})
    assert "DMS_SECRET_KEYS" in text_of(answer)
    assert client.get("/admin/").status_code == 302
    # It was no wrong code: nobody waits for it.
    assert second_step.wait_s(user) == 0

    assert client.post(LOGIN, {"code": recovery}).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_key_that_was_begun_under_a_key_that_is_gone_is_made_anew(client: Client, settings: Settings) -> None:
    user = make_user()
    client.force_login(user)
    client.post(reverse("two_factor"), {"begin": "1"})
    settings.DMS_SECRET_KEYS = [new_key()]

    client.post(reverse("two_factor"), {"begin": "1"})
    client.post(reverse("two_factor"), {"code": code_of(AppDevice.objects.get())})

    assert second_step.has_device(user)


def test_picture_is_an_address_that_apps_read(settings: Settings) -> None:
    device = with_app(make_user("ann@example.org"))
    secret = f"secret={device.shown_key}&algorithm=SHA1&digits=6&period=30"

    settings.OTP_TOTP_ISSUER = "Data: team 7"
    assert device.address == f"otpauth://totp/Data%20team%207%3Aann%40example.org?{secret}&issuer=Data%20team%207"
    settings.OTP_TOTP_ISSUER = ""
    assert device.address == f"otpauth://totp/ann%40example.org?{secret}"


def test_code_of_a_clock_that_is_off_is_followed() -> None:
    device = with_app(make_user())

    assert device.verify_token(code_of(device, 1))
    assert (device.drift, AppDevice.objects.get().drift) == (1, 1)
    assert not AppDevice.objects.get().verify_token("no digits")


# --- The Django migration, there and back -------------------------------------------------------------

#: What the version before kept: a key in hexadecimal, and codes in the clear.
_KEY = "3132333435363738393031323334353637383930"
_CODES = ("abcdefgh", "mnopqrst")
_LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)
_KEPT = {"name": "app", "confirmed": True, "drift": 1, "last_t": 7, "throttling_failure_count": 2}


def theirs(label: str, name: str) -> Any:
    """A table of django-otp's, as the version before used it."""
    return apps.get_model(label, name)._default_manager


def there_and_back() -> None:
    """Move second factors to sealed ones and back, on the control database of this process."""
    call_command("migrate", "migrations_app", BEFORE, verbosity=0)
    user = make_user()
    theirs("otp_totp", "TOTPDevice").create(user=user, key=_KEY, **_KEPT)
    theirs("otp_totp", "TOTPDevice").update(created_at=_LONG_AGO)
    recovery = theirs("otp_static", "StaticDevice").create(user=user, name="recovery")
    for code in _CODES:
        recovery.token_set.create(token=code)

    call_command("migrate", verbosity=0)
    device = AppDevice.objects.get()
    assert device.bin_key.hex() == _KEY
    assert {name: getattr(device, name) for name in _KEPT} == _KEPT
    assert (device.user, device.created_at) == (user, _LONG_AGO)
    assert RecoveryCode.objects.count() == 2
    assert not theirs("otp_totp", "TOTPDevice").exists()
    assert not theirs("otp_static", "StaticToken").exists()
    assert second_step.verified_device(user, _CODES[1].upper()) is not None
    assert second_step.codes_left(user) == 1

    call_command("migrate", "migrations_app", BEFORE, verbosity=0)
    device = theirs("otp_totp", "TOTPDevice").get()
    assert {name: getattr(device, name) for name in _KEPT} == _KEPT
    assert (device.user, device.key, device.created_at) == (user, _KEY, _LONG_AGO)
    assert not theirs("otp_static", "StaticDevice").exists()


@pytest.mark.django_db(transaction=True)
def test_second_factors_are_moved_there_and_back() -> None:
    try:
        there_and_back()
    finally:
        call_command("migrate", verbosity=0)


@pytest.mark.slow
def test_second_factors_are_moved_there_and_back_on_postgresql(pg_database: PgDatabase, tmp_path: Path) -> None:
    script = f"from {__name__} import call_command, there_and_back"
    script += "; call_command('migrate', verbosity=0); there_and_back(); call_command('migrate', verbosity=0)"
    environment = os.environ | {"DATABASE_URL": pg_database.dsn, "DMS_VAR_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "shell", "--no-imports", "--command", script]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)

    assert pg_database.value("SELECT secrets ->> 'key' FROM migrations_app_appdevice").startswith("sealed:")
    assert pg_database.value("SELECT count(*) FROM otp_totp_totpdevice") == 0
