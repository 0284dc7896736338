"""Users and groups: nobody gives more than he has, changes who has more, or raises himself."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from migrations_app import second_step, tokens
from migrations_app.enums import RoleName, Scope
from migrations_app.models import AuditEntry, Role
from tests.admin.people import PASSWORD, make_user, send_password, signed_in, with_app

pytestmark = pytest.mark.django_db
USERS = "/admin/auth/user/"


def group(role: RoleName) -> Group:
    found = Role.objects.get(pk=role.value).group
    assert found is not None
    return found


def helper(*permissions: str) -> Client:
    """Somebody with a few permissions on people, and no role."""
    user = make_user("helper")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def form_of(user: User, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"username": user.username, "email": user.email, "is_active": "on", "is_staff": "on"}
    fields |= {"groups": [each.pk for each in user.groups.all()]}
    return {key: value for key, value in (fields | changes).items() if value is not None}


def save(client: Client, user: User, **changes: Any) -> Any:
    return client.post(f"{USERS}{user.pk}/change/", form_of(user, **changes))


def test_admin_gives_roles() -> None:
    client, user = signed_in(RoleName.ADMIN, "chief"), make_user()

    assert save(client, user, groups=[group(RoleName.EDITOR).pk]).status_code == 302

    assert user.groups.get().name == "Editor"
    entry = AuditEntry.objects.get(action="change")
    assert (entry.actor, entry.before, entry.after) == ("chief", {"groups": []}, {"groups": ["Editor"]})


def test_role_is_asked_for_when_a_user_is_added() -> None:
    page = signed_in(RoleName.ADMIN, "chief").get(f"{USERS}add/").content.decode()

    assert page.index('name="username"') < page.index('name="groups"') < page.index('name="password1"')
    assert "Roles" in page
    assert "user_permissions" not in page


def test_single_permissions_are_for_superusers(admin_client: Client) -> None:
    user, chief = make_user(), signed_in(RoleName.ADMIN, "chief")
    page = f"{USERS}{user.pk}/change/"

    shown = chief.get(page).content.decode()
    assert "Roles" in shown
    assert "user_permissions" not in shown
    assert "User permissions" not in shown
    folded = admin_client.get(page).content.decode()
    assert folded.index("<details") < folded.index("Single permissions") < folded.index('name="user_permissions"')


def test_admin_cannot_make_a_superuser() -> None:
    client, user = signed_in(RoleName.ADMIN, "chief"), make_user()
    everything = list(Permission.objects.values_list("pk", flat=True))

    save(client, user, is_superuser="on", user_permissions=everything)

    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.user_permissions.exists()


def test_nobody_changes_his_own_standing() -> None:
    chief = make_user("chief", RoleName.ADMIN)
    client = Client()
    client.force_login(chief)

    save(client, chief, is_superuser="on", groups=[], is_active=None, email="chief@example.org")

    chief.refresh_from_db()
    assert chief.email == "chief@example.org"
    assert (chief.is_active, chief.is_superuser, chief.groups.get().name) == (True, False, "Admin")
    assert client.post(f"{USERS}{chief.pk}/delete/", {"post": "yes"}).status_code == 403


def test_nobody_takes_from_his_role_what_lets_him_undo_it() -> None:
    chief, role = make_user("chief", RoleName.ADMIN), group(RoleName.ADMIN)
    client = Client()
    client.force_login(chief)
    rows = Permission.objects.filter(codename="view_run")

    page = client.post(f"/admin/auth/group/{role.pk}/change/", {"name": "Admin", "permissions": [rows.get().pk]})
    assert "nobody takes from himself" in page.content.decode()
    client.post(f"/admin/auth/group/{role.pk}/delete/", {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [role.pk], "post": "yes"}
    assert "nobody takes from himself" in client.post("/admin/auth/group/", chosen).content.decode()

    # Who kept it by another role may do all of that.
    second = Group.objects.create(name="Second")
    second.permissions.set(role.permissions.all())
    chief.groups.add(second)
    assert client.post(f"/admin/auth/group/{role.pk}/delete/", {"post": "yes"}).status_code == 302
    assert User.objects.get(pk=chief.pk).has_perms(["auth.change_user", "auth.change_group"])


def test_own_password_is_changed_with_the_old_one_alone() -> None:
    chief = make_user("chief", RoleName.ADMIN)
    client = Client()
    client.force_login(chief)
    without: dict[str, str] = {"usable_password": "false", "unset-password": "1"}
    another = {"usable_password": "true", "password1": "another-passphrase", "password2": "another-passphrase"}

    for given in (without, another):
        answer = client.post(f"{USERS}{chief.pk}/password/", given)
        assert (answer.status_code, answer["Location"]) == (302, "/admin/password_change/")

    chief.refresh_from_db()
    assert chief.check_password(PASSWORD)


@pytest.mark.parametrize("is_superuser", [True, False])
def test_those_who_have_more_are_left_alone(is_superuser: bool) -> None:
    client = helper("view_user", "add_user", "change_user", "delete_user")
    above = make_user("above", None if is_superuser else RoleName.ADMIN, is_superuser=is_superuser)
    with_app(above)
    before = above.password

    assert save(client, above, email="mine@example.org").status_code == 403
    password = {"password1": "another-passphrase", "password2": "another-passphrase", "usable_password": "true"}
    assert client.post(f"{USERS}{above.pk}/password/", password).status_code == 403
    assert client.post(f"{USERS}{above.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{USERS}{above.pk}/do/remove_second_factor/").status_code == 403
    assert client.post(f"{USERS}{above.pk}/do/unlock/").status_code == 403
    client.post(USERS, {"action": "delete_selected", "_selected_action": [above.pk], "post": "yes"})

    above.refresh_from_db()
    assert (above.password, above.email) == (before, "")
    assert second_step.has_device(above)


def test_inactive_admin_is_not_taken_for_one_without_rights() -> None:
    client = helper("view_user", "change_user")
    above = make_user("above", RoleName.ADMIN, is_active=False)

    assert save(client, above).status_code == 403


def test_who_does_not_manage_groups_gives_none() -> None:
    client, user = helper("view_user", "change_user"), make_user()

    assert save(client, user, groups=[group(RoleName.VIEWER).pk]).status_code == 302

    assert not user.groups.exists()


def test_nobody_gives_a_role_that_has_more_than_he() -> None:
    client = helper("view_user", "change_user", "view_group", "change_group", "view_mapping")
    user = make_user()

    assert save(client, user, groups=[group(RoleName.ADMIN).pk]).status_code == 200
    assert not user.groups.exists()


def test_nobody_puts_more_into_a_group_than_he_has() -> None:
    client = helper("view_group", "add_group", "change_group", "delete_group")
    own = Group.objects.create(name="own")
    wanted = Permission.objects.get(codename="delete_mapping")
    mine = Permission.objects.get(codename="view_group")

    answer = client.post(f"/admin/auth/group/{own.pk}/change/", {"name": "own", "permissions": [wanted.pk]})
    assert answer.status_code == 200
    assert not own.permissions.exists()
    answer = client.post(f"/admin/auth/group/{own.pk}/change/", {"name": "own", "permissions": [mine.pk]})
    assert answer.status_code == 302
    admins = group(RoleName.ADMIN)
    assert client.post(f"/admin/auth/group/{admins.pk}/change/", {"name": "x"}).status_code == 403
    assert client.post(f"/admin/auth/group/{admins.pk}/delete/", {"post": "yes"}).status_code == 403


def test_new_user_has_a_role_at_once(client: Client) -> None:
    chief = signed_in(RoleName.ADMIN, "chief")
    page = chief.get(f"{USERS}add/").content.decode()
    assert "May sign in" in page

    fields = {"username": "new", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    answer = chief.post(f"{USERS}add/", fields | {"is_staff": "on", "groups": [group(RoleName.OPERATOR).pk]})

    assert answer.status_code == 302
    assert send_password(client, "new").status_code == 302
    entry = AuditEntry.objects.get(action="add")
    assert entry.after is not None
    assert entry.after["groups"] == ["Operator"]
    assert entry.after["password"] == "********"
    assert "pbkdf2" not in str(entry.after)


def test_changed_password_is_told_and_not_shown() -> None:
    chief, user = signed_in(RoleName.ADMIN, "chief"), make_user()
    new = {"password1": "another-passphrase", "password2": "another-passphrase", "usable_password": "true"}

    assert chief.post(f"{USERS}{user.pk}/password/", new).status_code == 302

    entry = AuditEntry.objects.get(action="change")
    assert (entry.before, entry.after) == ({"password": "********"}, {"password": "******** (changed)"})


def test_lost_second_factor_is_taken_away_by_an_admin(client: Client) -> None:
    chief, user = signed_in(RoleName.ADMIN, "chief"), make_user()
    with_app(user)
    assert "Remove the second factor" in chief.get(f"{USERS}{user.pk}/change/").content.decode()

    chief.post(f"{USERS}{user.pk}/do/remove_second_factor/")

    send_password(client)
    assert client.get("/admin/").status_code == 200
    assert AuditEntry.objects.earliest("id").action == "remove_second_factor"


def test_lock_is_opened_by_an_admin(client: Client) -> None:
    chief, user = signed_in(RoleName.ADMIN, "chief"), make_user()
    for _ in range(5):
        send_password(client, password="wrong")
    assert send_password(client).status_code == 429

    chief.post(f"{USERS}{user.pk}/do/unlock/")

    assert send_password(client).status_code == 302


def test_tokens_that_stay_are_on_the_page_of_who_made_them() -> None:
    chief, user = signed_in(RoleName.ADMIN, "chief"), make_user(is_active=False)
    tokens.create("nightly", [Scope.RUN_READ], created_by="ann")
    tokens.create("other", [Scope.RUN_READ], created_by="chief")

    page = chief.get(f"{USERS}{user.pk}/change/").content.decode()

    assert "API tokens made by ann" in page
    assert "nightly" in page
    assert "other</a>" not in page
    assert "nightly" not in helper("view_user", "change_user").get(f"{USERS}{user.pk}/change/").content.decode()


def test_command_makes_a_user_in_a_role(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    call_command("create_user", "ann", "--role", "Connection admin", stdout=io.StringIO())

    assert send_password(client).status_code == 302
    assert User.objects.get().groups.get().name == "Connection admin"
    assert AuditEntry.objects.get(action="add").target_name == "ann"


@pytest.mark.parametrize(("name", "password"), [("ann", "q1w2"), ("no spaces", PASSWORD), ("taken", PASSWORD)])
def test_command_refuses_names_and_passwords(monkeypatch: pytest.MonkeyPatch, name: str, password: str) -> None:
    make_user("taken")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))

    with pytest.raises(CommandError) as refused:
        call_command("create_user", name)

    assert refused.value.returncode == 2
    assert password not in str(refused.value)
    assert list(User.objects.values_list("username", flat=True)) == ["taken"]
