"""Changing one's own password: in the audit log when it was changed, and only then."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from migrations_app.models import AuditEntry
from tests.admin.people import PASSWORD, make_user

pytestmark = pytest.mark.django_db

NEW = "another-long-passphrase"


def change(client: Client, old: str) -> Any:
    form = {"old_password": old, "new_password1": NEW, "new_password2": NEW}
    return client.post(reverse("admin:password_change"), form)


def test_changed_password_is_in_the_audit_log_without_it(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    assert change(client, PASSWORD).status_code == 302

    user.refresh_from_db()
    assert user.check_password(NEW)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.target_type, entry.target_name) == ("change", "ann", "user", "ann")
    assert entry.before == {"password": "********"}
    assert entry.after == {"password": "******** (changed)"}


def test_refused_change_leaves_no_entry(client: Client) -> None:
    client.force_login(make_user())
    assert change(client, "wrong").status_code == 200
    assert not AuditEntry.objects.exists()
