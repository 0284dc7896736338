"""Commands on a control database that was never migrated: a sentence that says what to do, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import PgDatabase

PROJECT = Path(__file__).resolve().parents[2]
#: What would lead it to another control database.
_FOREIGN = ("DATABASE_URL", "DMS_", "SECRET_KEY")


def manage(directory: Path, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    environment = kept | {"DMS_VAR_DIR": str(directory)} | variables
    command = [sys.executable, "manage.py", *argv]
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("argv", [("discover", "shop"), ("create_token", "ci"), ("schedule",)], ids=" ".join)
def test_command_says_where_tables_are_missing_and_what_makes_them(tmp_path: Path, argv: tuple[str, ...]) -> None:
    done = manage(tmp_path, *argv)

    assert done.returncode == 1
    assert done.stdout == ""
    place = tmp_path / "control.sqlite3"
    expected = f"the control database has no tables yet ({place}); run `./run manage migrate` first"
    assert done.stderr.strip().splitlines() == [expected]


def test_traceback_is_shown_when_it_is_asked_for(tmp_path: Path) -> None:
    done = manage(tmp_path, "schedule", "--traceback")

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "no such table" in done.stderr


def test_postgresql_is_named_without_its_password(tmp_path: Path, pg_database: PgDatabase) -> None:
    server = pg_database.server
    address = f"{server.host}:{server.port}"
    url = f"postgresql://{server.user}:{server.password}@{address}/{pg_database.name}"

    done = manage(tmp_path, "schedule", DATABASE_URL=url)
    assert done.returncode == 1
    place = f"{address}/{pg_database.name}"
    assert done.stderr.strip() == f"the control database has no tables yet ({place}); run `./run manage migrate` first"

    pg_database.execute("CREATE TABLE other (id int)")
    done = manage(tmp_path, "schedule", DATABASE_URL=url)
    assert "does not have all tables of this version" in done.stderr


def test_check_is_left_alone(tmp_path: Path) -> None:
    assert manage(tmp_path, "check").returncode == 0
