"""Secrets at rest: sealed, rotated, and never opened by accident."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from connectors.mapping import ReferenceRefused, parse_mapping
from controlplane import keys
from migrations_app import checks, mapping_io, secrets, settings_io
from migrations_app.models import Mapping, Source
from tests.controlplane.builders import raw_mapping, raw_settings


@pytest.fixture
def old_key(settings: Settings) -> str:
    key = Fernet.generate_key().decode()
    settings.DMS_SECRET_KEYS = [key]
    return key


def rotate(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_secrets", *arguments, stdout=out)
    return out.getvalue()


def test_sealed_text_shows_its_key_and_not_the_secret(old_key: str) -> None:
    sealed = secrets.seal("hunter2")

    assert sealed.startswith(f"sealed:{secrets.key_ring().current_id}:")
    assert "hunter2" not in sealed
    assert secrets.unseal(sealed) == "hunter2"
    assert secrets.seal("hunter2") != sealed


@pytest.mark.parametrize("text", ["", "env:DB_PASSWORD"])
def test_references_and_nothing_are_not_sealed(old_key: str, text: str) -> None:
    assert secrets.unseal(secrets.seal(text)) == secrets.seal(text) == text


def test_secret_that_looks_sealed_comes_back_as_it_was(old_key: str) -> None:
    assert secrets.unseal(secrets.seal("sealed:12345678:abc")) == "sealed:12345678:abc"


@pytest.mark.django_db
def test_rotation_seals_everything_with_the_new_key(old_key: str, settings: Settings) -> None:
    mapping_io.save_mapping("shop", mapping_io.parse(raw_mapping()))
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))
    new_key = Fernet.generate_key().decode()
    settings.DMS_SECRET_KEYS = [new_key, old_key]
    assert ": 0 secrets" in rotate("--check").splitlines()[0]

    first, second = rotate().splitlines()

    assert first.endswith("(current): 2 secrets")
    assert second.endswith("(older): 0 secrets")
    settings.DMS_SECRET_KEYS = [new_key]
    assert mapping_io.load_contract(Mapping.objects.get()) == parse_mapping(raw_mapping())
    before = Source.objects.get().secrets
    rotate()
    assert Source.objects.get().secrets == before


@pytest.mark.django_db
def test_rotation_without_the_old_key_says_which_row_and_changes_nothing(old_key: str, settings: Settings) -> None:
    mapping_io.save_mapping("shop", mapping_io.parse(raw_mapping()))
    before = Source.objects.get().secrets
    old_id = secrets.key_ring().current_id
    settings.DMS_SECRET_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(CommandError, match=f"source shop: .* key {old_id}") as caught:
        rotate()

    assert caught.value.returncode == 2
    assert Source.objects.get().secrets == before


@pytest.mark.parametrize("broken", [[], [""], ["no key"]])
def test_wrong_keys_are_a_check_error(settings: Settings, broken: list[str]) -> None:
    settings.DMS_SECRET_KEYS = broken

    (error,) = checks.check_secret_keys(None)

    assert error.id == "migrations_app.E001"


def test_wrong_key_is_not_quoted(settings: Settings) -> None:
    settings.DMS_SECRET_KEYS = ["nearly-a-key"]

    with pytest.raises(secrets.SecretKeysError) as caught:
        secrets.key_ring()

    assert "nearly-a-key" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_empty_prefix_is_a_check_error(settings: Settings) -> None:
    assert checks.check_environment_prefixes(None) == []
    settings.DMS_ENV_PREFIXES = ("SOURCE_", "")

    assert checks.check_environment_prefixes(None)[0].id == "migrations_app.E002"


@pytest.mark.parametrize("name", ["SOURCE_PASSWORD", "DB_USERNAME", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"])
def test_names_of_sources_and_destinations_are_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "value")

    assert secrets.lookup(name) == "value"


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "DATABASE_URL", "DMS_SECRET_KEYS", "DMS_DATABASE_URL", "HOME", "DJANGO_DB_KEY"]
)
def test_names_of_the_service_and_the_host_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "value")

    with pytest.raises(ReferenceRefused, match="DMS_ENV_PREFIXES"):
        secrets.lookup(name)


def test_keys_made_for_development_are_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret.keys"

    made = keys.fernet_keys_in(path)

    assert keys.fernet_keys_in(path) == made
    assert Fernet(made[0]).encrypt(b"x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.keys"]
