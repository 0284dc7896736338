"""The page of workers: who is up, how busy, and what to do about who is not; nobody changes anything there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from migrations_app import hosts
from migrations_app.enums import RunState
from migrations_app.models import Heartbeat
from migrations_app.monitoring import workforce
from tests.controlplane.builders import make_run, make_stream
from tests.scheduling.builders import turn_on

pytestmark = pytest.mark.django_db

WORKERS = reverse("admin:migrations_app_heartbeat_changelist")


def test_hosts_are_told_apart_by_what_they_do() -> None:
    now = timezone.now()
    for host in ("busy", "draining", "drained", "silent"):
        hosts.beat(host, "holder", {"host": host, "pid": 7, "slots": 4})
    Heartbeat.objects.filter(name="worker:silent").update(at=now - timedelta(minutes=5))
    for host in ("draining", "drained", "away"):
        hosts.drain(host)
    for number, host in enumerate(("busy", "busy", "draining")):
        make_run(make_stream(f"s{number}"), owner_host=host, supervised=True)
    make_run(make_stream("waits"), state=RunState.QUEUED)

    found = workforce.look(now)

    assert {host.name: (host.word, host.busy, bool(host.remedy)) for host in found.hosts} == {
        "away": ("No worker", 0, True),
        "busy": ("Up", 2, False),
        "drained": ("Drained", 0, True),
        "draining": ("Draining", 1, True),
        "silent": ("Silent", 0, True),
    }
    assert (found.slots, found.busy, found.queued) == (4, 3, 1)
    assert found.waiting_since is not None


def test_page_shows_hosts_queue_and_scheduler(admin_client: Client) -> None:
    turn_on()
    hosts.beat("alpha", "holder", {"host": "alpha", "pid": 4711, "slots": 4})
    Heartbeat.objects.create(name="tick", details={"host": "alpha"})

    page = admin_client.get(WORKERS).content.decode()

    assert "0 of 4 busy" in page
    assert "4711" in page
    assert "its last sign of life, on alpha" in page


def test_without_workers_the_page_says_how_to_start_one(admin_client: Client) -> None:
    page = admin_client.get(WORKERS).content.decode()

    assert "./run worker" in page
    assert "<table" not in page


def test_page_needs_its_permission_and_nobody_changes_a_sign_of_life(client: Client, admin_client: Client) -> None:
    user = User.objects.create_user("somebody", is_staff=True)
    client.force_login(user)
    assert client.get(WORKERS).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_heartbeat"))
    assert client.get(WORKERS).status_code == 200

    hosts.beat("alpha", "holder", {})
    change = reverse("admin:migrations_app_heartbeat_change", args=("worker:alpha",))
    assert admin_client.get(change).status_code == 200
    assert admin_client.post(change, {"holder": "mine"}).status_code == 403
    assert admin_client.get(reverse("admin:migrations_app_heartbeat_add")).status_code == 403
