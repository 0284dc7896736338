"""A stream that has copied a table, and somebody who may reset it."""

from __future__ import annotations

import pytest
from django.test import Client

from controlplane.sandbox import MongoServer
from migrations_app import hosts
from migrations_app.models import Stream
from tests.admin.acting import EDITOR, person
from tests.admin.rereading.orders import Databases
from tests.builders import make_mapping, make_table
from tests.verbs import support
from tests.verbs.support import command, register


@pytest.fixture
def databases(two_databases: Databases, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Databases:
    """A table of 100 rows that is copied; what changes in it afterwards is not seen by its bookmark."""
    monkeypatch.setattr(support, "STORE", mongo.url)
    two_databases[0].execute(
        "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text,"
        " updated_at timestamptz NOT NULL DEFAULT '2024-01-01');"
        "INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, 100) n; ANALYZE orders"
    )
    register(make_mapping(*two_databases, make_table()))
    assert command("run_migration").code == 0
    two_databases[0].execute("UPDATE orders SET note = 'changed'")
    # With a worker that is up, what is queued waits for it: here for `execute`.
    hosts.beat("here", "holder", {"slots": 2})
    return two_databases


@pytest.fixture
def stream(databases: Databases) -> Stream:
    return Stream.objects.get()


@pytest.fixture
def client() -> Client:
    return person(*EDITOR)
