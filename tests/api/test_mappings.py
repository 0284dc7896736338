"""A mapping is registered by its document, as often as one likes, and read back as it was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrations_app import mapping_io
from migrations_app.enums import RunState
from migrations_app.models import Checkpoint, Destination, Mapping, Run, Source, Stream
from tests.api.calling import Caller
from tests.controlplane.builders import make_run, raw_mapping, raw_table

pytestmark = pytest.mark.django_db

MASK = "********"


def with_source(**overrides: Any) -> dict[str, Any]:
    return raw_mapping(source=raw_mapping()["source"] | overrides)


def copied(mapping_id: str = "shop") -> Stream:
    """The mapping's stream, which has reached a place."""
    stream = Stream.objects.get(mapping=mapping_id)
    Checkpoint.objects.create(stream=stream, position={"phase": "follow"}, epoch=1)
    return stream


def test_put_creates_then_changes_then_changes_nothing(api: Caller) -> None:
    created = api.put("/mappings/shop", raw_mapping())
    again = api.put("/mappings/shop", raw_mapping())
    changed = api.put("/mappings/shop", raw_mapping(tables=[raw_table(batch_size=500)]))

    assert [answer.status for answer in (created, again, changed)] == [201, 200, 200]
    assert [answer.body["action"] for answer in (created, again, changed)] == ["created", "unchanged", "changed"]
    assert [answer.body["changed"] for answer in (created, again, changed)] == [True, False, True]
    assert created.etag == again.etag != changed.etag
    (change,) = changed.body["changes"]
    assert change == {
        "path": "/tables/0/batch_size",
        "from": None,
        "to": 500,
        "impact": "none",
        "says": "the rows stay as they are",
    }
    assert changed.body["impact"] == "none"


def test_get_returns_what_was_put_with_secrets_masked(api: Caller) -> None:
    # A default that is spelled out, and lists for single values: the contract's own form has neither.
    sent = raw_mapping(tables=[raw_table(batch_size=10_000, primary_key=["id"], partition_col=False)])
    api.put("/mappings/shop", sent)

    answer = api.get("/mappings/shop")

    assert answer.status == 200
    assert answer.body == json.loads(json.dumps(sent).replace("source-secret", MASK))
    assert "source-secret" not in answer.text


def test_get_shows_what_is_stored_when_it_was_changed_elsewhere(api: Caller) -> None:
    api.put("/mappings/shop", raw_mapping())
    Mapping.objects.get().tables.update(batch_size=77)

    assert api.get("/mappings/shop").body["tables"][0]["batch_size"] == 77


def test_masked_secret_stays_while_the_server_does(api: Caller) -> None:
    api.put("/mappings/shop", raw_mapping())
    shown = api.get("/mappings/shop").body

    assert api.put("/mappings/shop", shown).body["action"] == "unchanged"
    moved = shown | {"source": shown["source"] | {"url": "evil.example"}}
    refused = api.put("/mappings/shop", moved)

    assert refused.status == 422
    assert refused.pointers == ["/source/password"]
    stored = mapping_io.load_contract(Mapping.objects.get())
    assert "source-secret" in str(mapping_io.load_raw(Mapping.objects.get()))
    assert stored.source.url == "source.example"  # type: ignore[union-attr]


def test_every_mistake_is_listed_with_pointer_and_code(api: Caller) -> None:
    wrong = raw_mapping(tables=[raw_table(mode="copying", batch_size="many", colour=1), raw_table(bookmark=None)])
    del wrong["source"]["db_name"]

    answer = api.put("/mappings/shop", wrong, X_Request_Id="build-17")

    assert (answer.status, answer.body["code"]) == (422, "document_invalid")
    found = {(each["pointer"], each["code"]) for each in answer.body["errors"]}
    assert {
        ("/source/db_name", "required"),
        ("/tables/0/mode", "not_a_choice"),
        ("/tables/0/batch_size", "wrong_type"),
        ("/tables/0/colour", "unknown_key"),
    } <= found
    assert answer.body["request_id"] == answer.headers["X-Request-Id"] == "build-17"
    assert not Mapping.objects.exists()


def test_if_match_guards_against_a_lost_update(api: Caller) -> None:
    first = api.put("/mappings/shop", raw_mapping()).etag
    api.put("/mappings/shop", raw_mapping(tables=[raw_table(batch_size=5)]), If_Match=first)

    stale = api.put("/mappings/shop", raw_mapping(), If_Match=first)
    assert (stale.status, stale.body["code"]) == (412, "stale")
    assert api.delete("/mappings/shop", If_Match=first).status == 412
    assert api.put("/mappings/shop", raw_mapping(), If_None_Match="*").status == 412
    assert api.put("/mappings/other", raw_mapping(), If_Match="*").status == 412
    assert api.put("/mappings/other", raw_mapping(), If_None_Match="*").status == 201


def test_dry_run_tells_and_changes_nothing(api: Caller) -> None:
    planned = api.put("/mappings/shop?dry_run=true", raw_mapping())
    assert (planned.status, planned.body["action"], planned.body["dry_run"]) == (200, "created", True)
    assert not Mapping.objects.exists()
    assert not Source.objects.exists()

    api.put("/mappings/shop", raw_mapping())
    planned = api.put("/mappings/shop?dry_run=true", with_source(password="another"))
    assert [(each["path"], each["from"], each["to"]) for each in planned.body["changes"]] == [
        ("/source/password", MASK, MASK)
    ]
    assert "another" not in planned.text
    assert api.put("/mappings/shop", raw_mapping()).body["action"] == "unchanged"


def test_mistyped_parameter_is_refused_and_not_ignored(api: Caller) -> None:
    answer = api.put("/mappings/shop?dryrun=true", raw_mapping())

    assert (answer.status, answer.body["code"]) == (400, "invalid_parameter")
    assert answer.body["errors"][0]["parameter"] == "dryrun"
    assert "dry_run" in answer.body["errors"][0]["detail"]
    assert not Mapping.objects.exists()


@pytest.mark.parametrize(
    ("change", "impact"),
    [
        ({"cron": "* * * * * 7 0 0"}, "none"),
        ({"grace_updation_lag": {"days": 1}}, "next_run"),
        ({"bookmark": "changed_at"}, "full_recopy"),
        ({"mode": "logging"}, "full_recopy"),
        ({"col_rename": {"a": "b"}}, "full_recopy"),
        ({"mode": "mirroring"}, "destructive"),
    ],
)
def test_impact_decides_whether_a_change_has_to_be_meant(api: Caller, change: dict[str, Any], impact: str) -> None:
    api.put("/mappings/shop", raw_mapping())
    copied()
    wanted = raw_mapping(tables=[raw_table(**change)])

    planned = api.put("/mappings/shop?dry_run=true", wanted)
    assert (planned.status, planned.body["impact"]) == (200, impact)

    applied = api.put("/mappings/shop", wanted)
    if impact in {"none", "next_run"}:
        assert applied.status == 200
        return
    assert (applied.status, applied.body["code"]) == (409, "not_allowed")
    assert applied.body["changes"][0]["impact"] == impact
    if impact == "destructive":
        assert api.put("/mappings/shop?allow=full_recopy", wanted).status == 409
    assert api.put(f"/mappings/shop?allow={impact}", wanted).status == 200


def test_nothing_is_lost_by_changing_what_was_never_copied(api: Caller) -> None:
    api.put("/mappings/shop", raw_mapping())

    assert api.put("/mappings/shop", raw_mapping(tables=[raw_table(mode="mirroring")])).body["impact"] == "next_run"


def test_other_database_under_a_mirror_has_to_be_meant(api: Caller) -> None:
    mirror = [raw_table(mode="mirroring")]
    api.put("/mappings/shop", raw_mapping(tables=mirror))
    copied()

    answer = api.put("/mappings/shop", with_source(url="other.example") | {"tables": mirror})

    assert (answer.status, answer.body["changes"][0]["impact"]) == (409, "destructive")


def test_run_that_is_active_locks_only_what_it_stands_on(api: Caller) -> None:
    api.put("/mappings/shop", raw_mapping())
    run = make_run(copied(), state=RunState.QUEUED)

    assert api.put("/mappings/shop", raw_mapping(tables=[raw_table(batch_size=5)])).status == 200
    locked = api.put("/mappings/shop?allow=destructive", raw_mapping(tables=[raw_table(mode="mirroring")]))
    assert (locked.status, locked.body["code"]) == (423, "locked")
    assert str(run.pk) in locked.body["detail"]
    assert api.delete("/mappings/shop").status == 423


def test_delete_forgets_the_mapping_and_what_only_it_used(api: Caller) -> None:
    api.put("/mappings/shop", raw_mapping())
    api.put("/sources/kept", raw_mapping()["source"])

    assert api.delete("/mappings/shop").status == 204
    assert api.delete("/mappings/shop").status == 404
    assert list(Source.objects.values_list("name", flat=True)) == ["kept"]
    assert not Destination.objects.exists()
    assert not Run.objects.exists()


def test_file_of_a_repository_is_taken_as_it_is(api: Caller) -> None:
    python = f"import os\nmapping = {raw_mapping()!r}\n".replace("'env:DEST_PASSWORD'", "os.getenv('DEST_PASSWORD')")
    body = python.encode()
    created = api.send("PUT", "/mappings/shop", body, media_type="text/x-python")
    assert created.status == 201
    assert api.put("/mappings/shop", raw_mapping()).body["action"] == "unchanged"
    lag = python.replace("'bookmark'", "'grace_updation_lag': datetime.timedelta(hours=2), 'bookmark'")
    lag = lag.replace("import os", "import datetime\nimport os")
    assert api.send("PUT", "/mappings/lag", lag.encode(), media_type="text/x-python").status == 201
    assert api.get("/mappings/lag").body["tables"][0]["grace_updation_lag"] == {"hours": 2}

    yaml = json.dumps(raw_mapping()).encode()
    assert api.send("PUT", "/mappings/shop", yaml, media_type="application/yaml").body["action"] == "unchanged"
    code = b"import os\nmapping = {'source': os.system('true')}"
    assert api.send("PUT", "/mappings/shop", code, media_type="text/x-python").status == 400
    assert api.send("PUT", "/mappings/shop", body, media_type="text/plain").status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"a": NaN}',
        b'{"source": 1, "source": 2}',
        b'{"source": "\\u0000"}',
        b'{"source": "\\ud800"}',
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
)
def test_what_is_no_document_is_refused_before_it_is_read(api: Caller, body: bytes) -> None:
    answer = api.send("PUT", "/mappings/shop", body)

    assert (answer.status, answer.body["code"]) == (400, "malformed")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b"1"])
def test_document_is_an_object(api: Caller, body: bytes) -> None:
    assert api.send("PUT", "/mappings/shop", body).status == 422


def test_body_that_is_too_large_is_not_read(api: Caller, settings: Any) -> None:
    settings.DMS_API_BODY_BYTES = 1000

    assert api.put("/mappings/shop", raw_mapping() | {"padding": "x" * 1000}).status == 413


def test_what_no_column_can_hold_is_said_at_its_key(api: Caller) -> None:
    answer = api.put(
        "/mappings/shop",
        raw_mapping(tables=[raw_table(table_name="t" * 201), raw_table(table_name="u", batch_size=2**40)]),
    )

    assert answer.status == 422
    assert answer.pointers == ["/tables/0/table_name", "/tables/1/batch_size"]


def test_names_that_are_too_long_for_a_stream_are_refused(api: Caller) -> None:
    warehouse = raw_mapping()["destination"]["warehouse"]
    long = raw_mapping(tables=[raw_table(table_name="t" * 200)], destination={"d" * 200: warehouse})

    answer = api.put(f"/mappings/{'m' * 100}", long)

    assert (answer.status, answer.pointers) == (422, ["/tables"])


@pytest.mark.parametrize("mapping_id", ["a b", "a.b", "x" * 101, "%00", "\u00e9"])
def test_id_is_a_slug(api: Caller, mapping_id: str) -> None:
    assert api.put(f"/mappings/{mapping_id}", raw_mapping()).status == 422
    assert api.get(f"/mappings/{mapping_id}").status == 404


def test_list_is_filtered_and_goes_on_from_its_cursor(api: Caller) -> None:
    for name in "abcde":
        query = "?managed_by=ci&repository=acme/jobs&commit=c0ffee" if name in "bd" else ""
        api.put(f"/mappings/{name}{query}", raw_mapping())

    first = api.get("/mappings?limit=2")
    second = api.get(f"/mappings?limit=2&cursor={first.body['next_cursor']}")
    api.put("/mappings/ab", raw_mapping())
    third = api.get(f"/mappings?limit=2&cursor={second.body['next_cursor']}")

    assert [each["id"] for page in (first, second, third) for each in page.body["items"]] == list("abcde")
    assert third.body["next_cursor"] is None
    managed = api.get("/mappings?managed_by=ci").body["items"]
    assert [each["id"] for each in managed] == ["b", "d"]
    assert managed[0]["origin"] == {"repository": "acme/jobs", "commit": "c0ffee"}
    assert api.get("/mappings?cursor=nonsense").status == 400


def test_list_asks_the_same_number_of_questions_for_many_as_for_few(
    api: Caller, django_assert_num_queries: Any
) -> None:
    api.put("/mappings/m0", raw_mapping())
    api.get("/mappings")
    with django_assert_num_queries(2):
        # The token, and the page.
        api.get("/mappings?limit=200")
    for number in range(1, 30):
        api.put(f"/mappings/m{number}", raw_mapping())
    with django_assert_num_queries(2):
        assert len(api.get("/mappings?limit=200").body["items"]) == 30


def test_status_shows_each_stream(api: Caller, django_assert_num_queries: Any) -> None:
    api.put("/mappings/shop", raw_mapping(tables=[raw_table(), raw_table(table_name="customers")]))
    run = make_run(Stream.objects.get(name="orders"))

    with django_assert_num_queries(5):
        body = api.get("/mappings/shop/status").body

    assert [(each["name"], each["active_run"]) for each in body["stream_list"]] == [
        ("customers", None),
        ("orders", str(run.pk)),
    ]


def test_address_that_leads_nowhere_is_a_problem_too(api: Caller) -> None:
    answer = api.get("/nothing/here")

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert api.post("/mappings").status == 405
