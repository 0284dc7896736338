"""Entries of the audit log go when they are older than the setting says: the oldest first, a few at a time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from migrations_app import audit, mirror, ticking
from migrations_app.models import AuditEntry
from tests.controlplane.test_settings import manage

pytestmark = pytest.mark.django_db


def enter(*days: float) -> None:
    """An entry of so many days ago each."""
    now = timezone.now()
    for each in days:
        fields = {"actor": "ann", "via": "admin", "action": "run", "target_type": "mapping"}
        AuditEntry.objects.create(at=now - timedelta(days=each), target_name=str(each), **fields)


def left() -> list[str]:
    return list(AuditEntry.objects.order_by("at").values_list("target_name", flat=True))


def test_entries_that_are_too_old_go_and_others_stay(settings: Settings) -> None:
    settings.DMS_AUDIT_DAYS = 30
    enter(400, 31, 29, 0)

    assert audit.forget_old() == 2
    assert left() == ["29", "0"]
    assert audit.forget_old() == 0


def test_zero_keeps_them_for_ever(settings: Settings) -> None:
    settings.DMS_AUDIT_DAYS = 0
    enter(4000)

    assert audit.forget_old() == 0
    assert left() == ["4000"]


def test_one_look_removes_so_many_and_the_oldest_first(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DMS_AUDIT_DAYS = 30
    monkeypatch.setattr(audit, "_AT_A_TIME", 2)
    monkeypatch.setattr(audit, "_STATEMENTS", 2)
    enter(40, 41, 42, 43, 44, 1)

    assert audit.forget_old() == 4
    assert left() == ["40", "1"]


def test_ticks_and_deliveries_remove_them(settings: Settings) -> None:
    settings.DMS_AUDIT_DAYS = 30
    enter(31, 1)
    ticking.serve(longest_s=0.1)
    assert left() == ["1"]

    enter(32)
    mirror.drain()
    assert left() == ["1"]


def test_looking_for_old_ones_reads_an_index() -> None:
    oldest = AuditEntry.objects.filter(at__lt=timezone.now()).order_by("at").values_list("pk")[:500]

    assert "INDEX" in oldest.explain().upper()


def test_number_of_days_that_cannot_be_is_said(tmp_path: Path) -> None:
    checked = manage(tmp_path, "check", DMS_AUDIT_DAYS="-1")

    assert checked.returncode != 0
    assert "DMS_AUDIT_DAYS is a number of days" in checked.stderr
