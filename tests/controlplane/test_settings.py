"""The settings in both lives: a checkout that just works, and a real installation that is strict."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from controlplane.logs import JsonFormatter

REAL = {
    "SECRET_KEY": "kept-for-this-test-only-" + "x7Kq" * 12,
    "ALLOWED_HOSTS": "dms.example",
    "DMS_SECRET_KEYS": Fernet.generate_key().decode(),
}
_OURS = ("SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "DATABASE_URL", "DMS_")


def manage(var: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with these variables and none of ours from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
        env=kept | {"DMS_VAR_DIR": str(var)} | variables,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_installation_passes_the_deployment_check(tmp_path: Path) -> None:
    checked = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **REAL)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "DMS_SECRET_KEYS"])
def test_real_installation_makes_no_keys_of_its_own(tmp_path: Path, missing: str) -> None:
    variables = {name: value for name, value in REAL.items() if name != missing}

    checked = manage(tmp_path, "check", **variables, DEBUG="0")

    assert checked.returncode != 0
    assert missing in checked.stderr
    assert not list(tmp_path.glob("*key*"))


def test_empty_address_of_the_control_database_is_said(tmp_path: Path) -> None:
    checked = manage(tmp_path, "check", DATABASE_URL="")

    assert checked.returncode != 0
    assert "DATABASE_URL is no address of a database; give postgresql://" in checked.stderr


def test_wrong_fernet_key_is_said_and_not_shown(tmp_path: Path) -> None:
    checked = manage(tmp_path, "check", **REAL | {"DMS_SECRET_KEYS": "almost-a-key"})

    assert checked.returncode == 1
    assert "migrations_app.E001" in checked.stderr
    assert "almost-a-key" not in checked.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_checkout_works_without_any_variable_and_keeps_its_keys(tmp_path: Path) -> None:
    for _ in range(2):
        assert manage(tmp_path, "migrate", "--verbosity", "0").returncode == 0
        keys = {path.name: path.read_text() for path in tmp_path.glob("*key*")}
        assert set(keys) == {"django.key", "secret.keys"}
    code = "from django.db import connection as c; c.ensure_connection(); k = c.cursor();"
    code += "print([k.execute(f'PRAGMA {p}').fetchone()[0] for p in ('journal_mode', 'synchronous')])"
    assert "['wal', 1]" in manage(tmp_path, "shell", "--no-imports", "-c", code).stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_processes_that_write_at_once_all_succeed(tmp_path: Path) -> None:
    manage(tmp_path, "migrate", "--verbosity", "0")
    code = """
from django.db import transaction
from migrations_app.models import Source
for i in range(25):
    with transaction.atomic():
        list(Source.objects.all()[:1])
        Source.objects.create(name=f"{PROCESS}-{i}", source_type="pgsql")
"""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "shell", "--no-imports", "-c"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    writers = [
        subprocess.Popen([*command, f"PROCESS = {number}\n{code}"], env=kept | {"DMS_VAR_DIR": str(tmp_path)})
        for number in range(4)
    ]

    assert [writer.wait(timeout=250) for writer in writers] == [0, 0, 0, 0]
    count = "from migrations_app.models import Source; print(Source.objects.count())"
    assert manage(tmp_path, "shell", "--no-imports", "-c", count).stdout.strip() == "100"


def test_log_lines_are_json_with_the_agreed_keys() -> None:
    record = logging.makeLogRecord(
        {"name": "dms", "levelname": "INFO", "msg": "committed %s rows", "args": (5,), "run_id": "r1", "rows": 5}
    )
    record.__dict__["password"] = "secret"

    line = json.loads(JsonFormatter().format(record))

    assert (line["message"], line["run_id"], line["rows"], line["level"]) == ("committed 5 rows", "r1", 5, "INFO")
    assert "password" not in line
