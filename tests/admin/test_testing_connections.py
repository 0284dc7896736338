"""Test connection, as the pages of sources and destinations ask for it: every step, with what to do."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connectors import steps as module
from controlplane.sandbox import S3Server
from migrations_app.admin import slots
from migrations_app.models import Destination, Source
from tests.admin.ends import ask_test, bucket_form, destination_form, do, person, source_form
from tests.buckets import Bucket
from tests.databases import PgDatabase
from tests.s3_faults import Fault, How, S3Proxy

pytestmark = pytest.mark.django_db

WRONG = "wrong-and-secret"


@pytest.fixture
def source(admin_client: Client, pg_database: PgDatabase) -> Source:
    """A stored source."""
    pg_database.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    assert admin_client.post(reverse("admin:migrations_app_source_add"), source_form(pg_database)).status_code == 302
    return Source.objects.get()


def test_unsaved_source_is_tested_and_nothing_is_stored(admin_client: Client, pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    found = ask_test(admin_client, do("source", "test_new"), source_form(pg_database, name="")).steps
    assert list(found) == [
        *("resolve", "connect", "TLS", "sign in", "version"),
        *("role", "sight of transactions", "clock", "rights"),
    ]
    assert {outcome for outcome, _ in found.values()} == {"ok", "warning"}
    assert found["rights"][1] == "the user may read the only table"
    assert not Source.objects.exists()


@pytest.mark.parametrize(
    ("changes", "step", "remedy"),
    [
        ({"pgsql__url": "no-such-host.invalid"}, "resolve", "check `url`"),
        ({"pgsql__port": "{closed}"}, "connect", "`port`"),
        ({"pgsql__sslmode": "require"}, "TLS", "switch `ssl` on there"),
        ({"pgsql__password": WRONG}, "sign in", "`password`"),
        ({"pgsql__db_name": "no_such_database"}, "sign in", "`db_name`"),
    ],
)
def test_step_that_fails_ends_the_test_with_its_remedy(
    admin_client: Client, pg_database: PgDatabase, changes: dict[str, str], step: str, remedy: str
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        changes = {key: value.replace("{closed}", str(unused.getsockname()[1])) for key, value in changes.items()}
        answer = ask_test(admin_client, do("source", "test_new"), source_form(pg_database, **changes))
    found = answer.steps
    assert list(found)[-1] == step
    assert found[step][0] == "failed"
    assert remedy in found[step][1]
    page = answer.text
    assert f"{step} failed" in answer.verdict
    assert WRONG not in page
    assert pg_database.server.password not in page


def test_server_that_hangs_is_given_up_in_time(
    admin_client: Client, pg_database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TEST_WITHIN_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        began = time.monotonic()
        found = ask_test(admin_client, do("source", "test_new"), source_form(pg_database, pgsql__port=port)).steps
    assert time.monotonic() - began < 10
    assert list(found)[-1] == "TLS"
    assert "given up after 1 seconds in this step" in found["TLS"][1]


def test_missing_rights_are_named_with_their_grants(admin_client: Client, pg_database: PgDatabase) -> None:
    role = pg_database.name
    pg_database.execute(f"CREATE TABLE orders (id int); CREATE ROLE {role} LOGIN PASSWORD 'x'")
    login = {"pgsql__username": role, "pgsql__password": "x"}
    try:
        found = ask_test(admin_client, do("source", "test_new"), source_form(pg_database, **login)).steps
        assert found["rights"][0] == "failed"
        assert "GRANT SELECT ON ALL TABLES" in found["rights"][1]
        assert f"GRANT pg_read_all_stats TO {role}" in found["sight of transactions"][1]
        form = destination_form(pg_database, **login)
        written = ask_test(admin_client, do("destination", "test_new"), form).steps
        assert written["rights"][0] == "failed"
        assert f'CREATE SCHEMA "arrived" AUTHORIZATION {role}' in written["rights"][1]
        anywhere = ask_test(admin_client, do("destination", "test_new"), form | {"pgsql__schema": ""}).steps
        assert anywhere["rights"][0] == "failed"
        assert f"GRANT CREATE ON DATABASE {pg_database.name} TO {role}" in anywhere["rights"][1]
        assert "connection_test" not in anywhere["rights"][1]
    finally:
        pg_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_destination_that_only_reads_fails_where_it_is_written(admin_client: Client, pg_database: PgDatabase) -> None:
    pg_database.execute(f'ALTER DATABASE "{pg_database.name}" SET default_transaction_read_only = on')
    found = ask_test(admin_client, do("destination", "test_new"), destination_form(pg_database)).steps
    assert list(found)[-1] == "write and delete"
    assert "may write" in found["write and delete"][1]


def test_bucket_is_written_and_emptied(admin_client: Client, s3: S3Server, s3_bucket: Bucket) -> None:
    found = ask_test(admin_client, do("destination", "test_new"), bucket_form(s3, s3_bucket.name)).steps
    assert [*found] == [
        *("resolve", "connect", "TLS", "sign in", "list"),
        *("write", "multipart upload", "delete", "clock"),
    ]
    assert {outcome for name, (outcome, _) in found.items() if name != "TLS"} == {"ok"}
    assert s3_bucket.keys() == []
    assert "connection_test" not in str(found)


def test_bucket_that_refuses_a_place_nobody_needs_says_so(
    admin_client: Client, s3_proxy: S3Proxy, s3_bucket: Bucket
) -> None:
    s3_proxy.add(Fault(How.ANSWER, "PutObject", times=None, status=403, code="AccessDenied"))
    found = ask_test(admin_client, do("destination", "test_new"), bucket_form(s3_proxy.server, s3_bucket.name)).steps
    assert list(found)[-1] == "write"
    assert f"grant the user the right s3:PutObject on {s3_bucket.name}/*" in found["write"][1]
    assert "sql/connection_test/ was tried" in found["write"][1]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"s3__s3_bucket_name": "no-such-bucket"}, "check `s3_bucket_name`"),
        ({"s3__secret_access_key": WRONG}, "`secret_access_key`"),
    ],
)
def test_bucket_that_cannot_be_used_says_why(
    admin_client: Client, s3: S3Server, s3_bucket: Bucket, changes: dict[str, str], remedy: str
) -> None:
    answer = ask_test(admin_client, do("destination", "test_new"), bucket_form(s3, s3_bucket.name, **changes))
    found = answer.steps
    assert list(found)[-1] == "sign in"
    assert remedy in found["sign in"][1]
    assert WRONG not in answer.text
    assert s3.secret_access_key not in answer.text


def test_secret_is_kept_for_a_test_at_the_same_place_only(
    admin_client: Client, source: Source, pg_database: PgDatabase
) -> None:
    form = source_form(pg_database, pgsql__password="")
    found = ask_test(admin_client, do("source", "test", source.pk), form | {"pgsql__db_name": "postgres"}).steps
    assert found["sign in"][0] == "ok"

    answer = ask_test(admin_client, do("source", "test", source.pk), form | {"pgsql__url": "thief.example"})
    assert answer.mistakes == [
        ("password", "`url` changed: enter this again, as what is stored is not sent to another place.")
    ]


def test_mistakes_are_told_before_anything_is_asked(admin_client: Client, pg_database: PgDatabase) -> None:
    form = source_form(pg_database, pgsql__port="70000", pgsql__url="")
    answer = ask_test(admin_client, do("source", "test_new"), form)
    assert {name for name, _ in answer.mistakes} == {"url", "port"}


def test_variable_that_is_not_set_is_named(admin_client: Client, pg_database: PgDatabase) -> None:
    form = source_form(pg_database, pgsql__password__way="env", pgsql__password__env="SOURCE_NOT_SET")
    answer = ask_test(admin_client, do("source", "test_new"), form)
    assert "SOURCE_NOT_SET is not set" in answer.text


def test_outcome_is_kept_until_the_connection_changes(
    admin_client: Client, source: Source, pg_database: PgDatabase
) -> None:
    form = source_form(pg_database, pgsql__password="")
    changed = reverse("admin:migrations_app_source_change", args=(source.pk,))
    ask_test(admin_client, do("source", "test", source.pk), form)
    source.refresh_from_db()
    assert source.last_test is not None
    assert source.last_test["outcome"] == "warning"
    assert "tested" in admin_client.get(changed).content.decode()
    assert "TLS" in admin_client.get(reverse("admin:migrations_app_source_changelist")).content.decode()

    admin_client.post(changed, form | {"name": "other name"})
    source.refresh_from_db()
    assert source.last_test is not None, "the name is not where it is"
    admin_client.post(changed, form | {"pgsql__db_name": "postgres"})
    source.refresh_from_db()
    assert source.last_test is None


def test_what_was_tested_before_it_was_saved_counts_as_tested(admin_client: Client, pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE orders (id int)")
    form = source_form(pg_database)
    ask_test(admin_client, do("source", "test_new"), form)
    admin_client.post(reverse("admin:migrations_app_source_add"), form)
    admin_client.post(reverse("admin:migrations_app_source_add"), form | {"name": "b", "pgsql__db_name": "postgres"})
    tested, other = Source.objects.order_by("-name")
    assert tested.last_test is not None
    assert tested.last_test["outcome"] == "warning"
    assert other.last_test is None, "another database"


def test_who_may_not_change_a_source_tests_what_is_stored(source: Source, pg_database: PgDatabase) -> None:
    client = person("view_source", "test_connection")
    form = source_form(pg_database, pgsql__url="no-such-host.invalid")
    assert ask_test(client, do("source", "test", source.pk), form).steps["resolve"][0] == "ok"
    assert client.post(do("source", "test_new"), form).status_code == 403


@pytest.mark.parametrize("permissions", [(), ("view_source", "change_source", "add_source")])
def test_testing_is_a_permission_of_its_own(source: Source, permissions: tuple[str, ...]) -> None:
    client = person(*permissions)
    assert client.post(do("source", "test", source.pk)).status_code == 403
    assert client.post(do("source", "test_new")).status_code == 403
    assert client.get(do("source", "test", source.pk)).status_code == 405


def test_tests_leave_threads_for_others(admin_client: Client, source: Source) -> None:
    with slots.one_of_few(), slots.one_of_few():
        answer = ask_test(admin_client, do("source", "test", source.pk))
    assert "try again in half a minute" in answer.text
    assert ask_test(admin_client, do("source", "test", source.pk)).verdict.startswith("warning")


def test_no_answer_holds_a_secret(admin_client: Client, source: Source, pg_database: PgDatabase) -> None:
    secret: Any = pg_database.server.password
    form = source_form(pg_database, pgsql__password=secret, pgsql__port="")
    pages = [
        ask_test(admin_client, do("source", "test", source.pk), form).text,
        admin_client.get(reverse("admin:migrations_app_source_change", args=(source.pk,))).content.decode(),
        admin_client.get(reverse("admin:migrations_app_source_changelist")).content.decode(),
    ]
    for page in pages:
        assert secret not in page
        assert source.secrets["password"] not in page
    assert not Destination.objects.exists()
