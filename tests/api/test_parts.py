"""Sources, destinations and settings by themselves, and bundles of mappings."""

from __future__ import annotations

from typing import Any

import pytest

from migrations_app import documents
from migrations_app.models import Checkpoint, Mapping, ServiceSettings, Source, Stream
from tests.api.calling import Caller
from tests.controlplane.builders import raw_mapping, raw_settings, raw_table

pytestmark = pytest.mark.django_db

MASK = "********"
SOURCE = raw_mapping()["source"]


def bundle(*names: str, **keeper: str) -> dict[str, Any]:
    body: dict[str, Any] = {"mappings": {name: raw_mapping() for name in names}}
    return body | ({"keeper": keeper} if keeper else {})


@pytest.mark.parametrize(
    ("address", "document", "secret"),
    [
        ("/sources/crm", SOURCE | {"port": 5432}, "source-secret"),
        (
            "/destinations/lake",
            {
                "destination_type": "s3",
                "s3_bucket_name": "lake",
                "s3_suffix": "",
                "access_key_id": "id",
                "secret_access_key": "lake-secret",
            },
            "lake-secret",
        ),
        ("/settings", raw_settings(timezone="Asia/Kolkata", cut_off_time="22:30:00"), "store-secret"),
    ],
)
def test_part_is_put_read_and_put_again(api: Caller, address: str, document: dict[str, Any], secret: str) -> None:
    created = api.put(address, document)
    shown = api.get(address)

    assert created.status == 201
    assert shown.etag == created.etag
    assert secret not in shown.text
    assert shown.body.keys() == document.keys()
    assert api.put(address, document).body["action"] == "unchanged"
    assert api.put(address, shown.body).body["action"] == "unchanged"
    assert api.put(address, document, If_Match='"other"').status == 412
    assert api.put(f"{address}?dry_run=true", document).body["dry_run"] is True


def test_masked_secret_of_a_part_goes_with_its_server(api: Caller) -> None:
    api.put("/sources/crm", SOURCE)
    shown = api.get("/sources/crm").body

    assert api.put("/sources/crm", shown | {"url": "evil.example"}).pointers == ["/password"]
    assert api.put("/sources/crm", shown | {"username": "other"}).body["action"] == "changed"
    assert "source-secret" in str(documents.source_raw(Source.objects.get()))


def test_part_in_use_is_not_deleted_and_stays_of_its_type(api: Caller) -> None:
    api.put("/mappings/shop", raw_mapping())

    refused = api.delete("/sources/shop")
    assert (refused.status, refused.body["code"]) == (409, "in_use")
    mongo = {"source_type": "mongo", "url": "mongodb://m.example", "db_name": "shop"}
    assert api.put("/sources/shop?allow=destructive", mongo).body["code"] == "in_use"
    assert api.delete("/mappings/shop").status == 204
    assert api.delete("/sources/shop").status == 404


def test_change_of_a_part_has_the_impact_that_it_has_on_mappings(api: Caller) -> None:
    api.put("/mappings/shop", raw_mapping(tables=[raw_table(mode="mirroring")]))
    Checkpoint.objects.create(stream=Stream.objects.get(), position={}, epoch=1)

    refused = api.put("/sources/shop", SOURCE | {"url": "other.example"})

    assert (refused.status, refused.body["code"]) == (409, "not_allowed")
    assert [(each["path"], each["impact"]) for each in refused.body["changes"]] == [("/url", "destructive")]
    done = api.put("/sources/shop?allow=destructive", SOURCE | {"url": "other.example"})
    assert (done.status, done.body["used_by"]) == (200, ["shop"])


def test_lists_are_paged_by_name(api: Caller, django_assert_num_queries: Any) -> None:
    for name in ("b", "a", "c"):
        api.put(f"/sources/{name}", SOURCE)

    with django_assert_num_queries(4):
        first = api.get("/sources?limit=2").body
        second = api.get(f"/sources?limit=2&cursor={first['next_cursor']}").body

    assert [each["name"] for each in first["items"] + second["items"]] == ["a", "b", "c"]
    assert first["items"][0]["address"] == "source.example / shop"


def test_name_of_a_part_has_to_be_plain(api: Caller) -> None:
    assert api.put("/sources/a b", SOURCE).status == 422
    assert api.get("/sources/a b").status == 404
    assert api.put("/destinations/shop:main", raw_mapping()["destination"]["warehouse"]).status == 201


def test_settings_that_are_not_there_are_said_to_be_missing(api: Caller) -> None:
    assert api.get("/settings").status == 404
    assert api.put("/settings", {"timezone": "Mars"}).pointers == [
        "/timezone",
        "/encryption_store",
        "/dashboard_store",
    ]
    assert not ServiceSettings.objects.exists()


def test_bundle_is_applied_as_a_whole(api: Caller) -> None:
    body = bundle("a", "b")
    body["mappings"]["b"]["tables"] = [raw_table(mode="copying")]
    body["mappings"]["c d"] = raw_mapping()

    refused = api.put("/bundles/team", body)

    assert refused.status == 422
    assert [each.get("pointer") for each in refused.body["errors"]] == ["/mappings/b/tables/0/mode", "/mappings/c d"]
    assert not Mapping.objects.exists()
    applied = api.put("/bundles/team", bundle("a", "b", managed_by="ci", repository="acme/jobs"))
    assert [(each["id"], each["action"]) for each in applied.body["mappings"]] == [("a", "created"), ("b", "created")]
    assert api.get("/bundles/team").body["mappings"] == ["a", "b"]
    assert api.put("/bundles/team", bundle("a", "b", managed_by="ci", repository="acme/jobs")).body["changed"] is False
    row = Mapping.objects.get(pk="a")
    assert (row.managed_by, row.origin, row.bundle) == ("ci", {"repository": "acme/jobs"}, "team")


def test_bundle_prunes_only_what_it_owns_and_only_on_request(api: Caller) -> None:
    api.put("/mappings/mine", raw_mapping())
    api.put("/bundles/other", bundle("theirs"))
    api.put("/bundles/team", bundle("a", "b"))

    kept = api.put("/bundles/team", bundle("a"))
    assert (kept.body["kept"], kept.body["pruned"]) == (["b"], [])
    planned = api.put("/bundles/team?prune=true&dry_run=true", bundle("a"))
    assert planned.body["pruned"] == ["b"]
    assert Mapping.objects.filter(pk="b").exists()
    assert api.put("/bundles/team?prune=true", bundle("a")).body["pruned"] == ["b"]
    assert set(Mapping.objects.values_list("pk", flat=True)) == {"mine", "theirs", "a"}


def test_mapping_belongs_to_one_bundle(api: Caller) -> None:
    api.put("/mappings/mine", raw_mapping())
    api.put("/bundles/team", bundle("a", "mine"))

    assert api.put("/bundles/other", bundle("a")).body["code"] == "owned_by_bundle"
    assert api.put("/mappings/a", raw_mapping()).body["code"] == "owned_by_bundle"
    assert api.get("/bundles/other").status == 404
    assert Mapping.objects.get(pk="mine").bundle == "team"


def test_bundle_takes_files_as_they_are(api: Caller) -> None:
    text = f"import os\nmapping = {raw_mapping()!r}\n"

    applied = api.put("/bundles/team", {"mappings": {"shop": {"file": "shop.py", "text": text}}})

    assert applied.status == 200
    assert api.put("/bundles/team", bundle("shop")).body["changed"] is False
    wrong = api.put("/bundles/team", {"mappings": {"shop": {"file": "shop.txt", "text": text}}})
    assert (wrong.status, wrong.pointers) == (422, ["/mappings/shop"])
