"""The groups of the roles: made by the Django migration, kept up with the table, and not fought over with people."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from migrations_app import roles
from migrations_app.enums import RoleName
from migrations_app.models import Role
from tests.admin.people import make_user
from tests.databases import PgDatabase

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.django_db


def group_of(role: RoleName) -> Group:
    group = Role.objects.get(pk=role.value).group
    assert group is not None
    return group


def names_of(group: Group) -> set[str]:
    return {f"{each.content_type.app_label}.{each.codename}" for each in group.permissions.all()}


def test_groups_are_there_with_their_permissions() -> None:
    known = {f"{each.content_type.app_label}.{each.codename}" for each in Permission.objects.all()}
    for role, wanted in roles.ROLES.items():
        assert group_of(role).name == role.value
        named = {name for name in wanted if not name.endswith(".*")}
        assert named <= known, f"the table gives {role} what does not exist: {named - known}"
        assert named <= names_of(group_of(role))


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (RoleName.VIEWER, "view_run", "view_checkpoint"),
        (RoleName.VIEWER, "view_mapping", "run_mapping"),
        (RoleName.VIEWER, "view_servicesettings", "view_apitoken"),
        (RoleName.OPERATOR, "run_mapping", "reset_checkpoint"),
        (RoleName.OPERATOR, "view_checkpoint", "preview_data"),
        (RoleName.EDITOR, "preview_data", "change_source"),
        (RoleName.EDITOR, "delete_mapping", "change_servicesettings"),
        (RoleName.CONNECTION_ADMIN, "change_source", "change_mapping"),
        (RoleName.CONNECTION_ADMIN, "test_connection", "preview_data"),
        (RoleName.ADMIN, "add_apitoken", "no_such_thing"),
    ],
)
def test_role_may_do_its_work_and_no_more(role: RoleName, may: str, may_not: str) -> None:
    user = make_user(role=role)

    assert user.has_perm(f"migrations_app.{may}")
    assert not user.has_perm(f"migrations_app.{may_not}")


def test_only_admins_change_people() -> None:
    changers = [role for role in RoleName if make_user(role.value, role).has_perm("auth.change_user")]

    assert changers == [RoleName.ADMIN]


def test_permission_that_the_table_gains_joins_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {**roles.ROLES, RoleName.VIEWER: roles.ROLES[RoleName.VIEWER] | {"migrations_app.view_checkpoint"}}
    monkeypatch.setattr(roles, "ROLES", more)

    roles.bring_up_to_date(apps)
    assert "migrations_app.view_checkpoint" in names_of(group_of(RoleName.VIEWER))

    monkeypatch.undo()
    roles.bring_up_to_date(apps)
    assert "migrations_app.view_checkpoint" not in names_of(group_of(RoleName.VIEWER))


def test_what_people_added_and_took_away_stays() -> None:
    group = group_of(RoleName.VIEWER)
    group.name = "Auditors"
    group.save()
    group.permissions.add(Permission.objects.get(codename="view_checkpoint"))
    group.permissions.remove(Permission.objects.get(codename="view_outboxentry"))

    call_command("migrate", verbosity=0)

    assert "migrations_app.view_checkpoint" in names_of(group)
    assert "migrations_app.view_outboxentry" not in names_of(group)
    assert not Group.objects.filter(name="Viewer").exists()


def test_group_that_people_deleted_stays_away() -> None:
    group_of(RoleName.EDITOR).delete()

    roles.bring_up_to_date(apps)

    assert not Group.objects.filter(name="Editor").exists()


def test_group_of_people_with_the_name_of_a_role_is_theirs() -> None:
    Role.objects.filter(pk="Viewer").delete()
    Group.objects.filter(name="Viewer").delete()
    theirs = Group.objects.create(name="Viewer")

    roles.bring_up_to_date(apps)

    assert names_of(theirs) == set()
    assert group_of(RoleName.VIEWER).name == "Viewer (role)"


@pytest.mark.django_db(transaction=True)
def test_groups_go_and_come_with_the_django_migration() -> None:
    try:
        call_command("migrate", "migrations_app", _before_roles(), verbosity=0)
        assert not Group.objects.filter(name__in=[role.value for role in RoleName]).exists()
    finally:
        call_command("migrate", "migrations_app", verbosity=0)
    assert names_of(group_of(RoleName.OPERATOR)) >= roles.ROLES[RoleName.OPERATOR]


def _before_roles() -> str:
    text = (Path(roles.__file__).parent / "migrations" / "0011_roles.py").read_text(encoding="utf-8")
    return str(re.findall(r'\("migrations_app", "(\w+)"\)', text)[0])


@pytest.mark.slow
def test_groups_come_and_go_on_postgresql_too(pg_database: PgDatabase, tmp_path: Path) -> None:
    environment = os.environ | {"DATABASE_URL": pg_database.dsn, "DMS_VAR_DIR": str(tmp_path)}
    wanted = {role.value for role in RoleName}

    def migrate(*target: str) -> set[str]:
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0", *target]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return {name for (name,) in pg_database.rows("SELECT name FROM auth_group")}

    assert migrate() == wanted
    assert migrate("migrations_app", _before_roles()) == set()
    assert migrate("migrations_app") == wanted
    operators = pg_database.value("SELECT id FROM auth_group WHERE name = 'Operator'")
    given = pg_database.value("SELECT count(*) FROM auth_group_permissions WHERE group_id = %s", (operators,))
    assert given == len(roles.ROLES[RoleName.OPERATOR])
