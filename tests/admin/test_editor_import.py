"""Pasted text fills the form: its ends are found among the stored ones, or it says which has to be added first."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from connectors.mapping import MASK, dump_json, dump_python, dump_yaml, parse_mapping
from migrations_app import mapping_io
from migrations_app.models import AuditEntry, Destination, Mapping, Source
from tests.admin.editing import address, editor, page, posted, spec, store_ends
from tests.admin.people import staff
from tests.controlplane.builders import raw_mapping, raw_table
from tests.controlplane.pages import accepted, save_mapping, url

pytestmark = pytest.mark.django_db

WAREHOUSE = raw_mapping()["destination"]["warehouse"]


def paste(client: Client, text: str, **fields: str) -> Any:
    return client.post(address("draft_import"), {"text": text, "id": "jobs"} | fields, headers={"HX-Request": "true"})


def opened(client: Client, answer: Any) -> Any:
    """The page that the text was filled into."""
    assert answer.status_code == 200, answer.content
    assert "HX-Redirect" in answer.headers, answer.content.decode()
    found = client.get(answer.headers["HX-Redirect"])
    assert found.status_code == 200
    return found


FULL = raw_table(
    cron="* * * * mon-fri 9-17 */15 0",
    primary_key=["region", "id"],
    primary_key_datatype=["str", "int"],
    batch_size=500,
    partition_col="created_at",
    partition_col_format="datetime",
    col_rename={"a": "b", "ключ": "x"},
    masking_columns=[["phone", 4]],
    grace_updation_lag={"days": 1, "hours": 2},
    strict=True,
    max_delete_fraction=0.25,
)


@pytest.mark.parametrize("dump", [dump_python, dump_json, dump_yaml])
def test_an_export_that_is_pasted_and_saved_is_exported_the_same(dump: Any) -> None:
    raw = raw_mapping(tables=[FULL, raw_table(table_name="b.c", mode="dumping", expiry={"days": 30})])
    store_ends(raw)
    client = editor()
    text = dump(parse_mapping(raw))
    assert MASK in text

    found = opened(client, paste(client, text))

    assert not Mapping.objects.exists()
    assert accepted(client.post(url(Mapping, "add"), posted(found)))
    stored = mapping_io.load_contract(Mapping.objects.get(pk="jobs"))
    assert dump(stored) == text
    assert stored == parse_mapping(raw)


@pytest.mark.parametrize("text_format", ["", "python"])
def test_dictionary_by_itself_is_read_as_python_writes_it(text_format: str) -> None:
    raw = raw_mapping()
    store_ends(raw)
    client = editor()

    found = opened(client, paste(client, f"\n  {raw!r}\n", text_format=text_format))

    assert posted(found)["tables-0-table_name"] == raw["tables"][0]["table_name"]
    refused = paste(client, '{"source": 1,', text_format=text_format).content.decode()
    assert "is no valid" in refused


def test_a_text_fills_a_stored_mapping_and_takes_away_what_it_does_not_have() -> None:
    save_mapping(tables=[raw_table(), raw_table(table_name="b")])
    client = editor()
    raw = raw_mapping(tables=[raw_table(batch_size=7), raw_table(table_name="c")])

    found = opened(client, paste(client, dump_json(parse_mapping(raw)), object_id="shop"))

    assert mapping_io.load_contract(Mapping.objects.get()) != parse_mapping(raw)
    assert accepted(client.post(url(Mapping, "change", "shop"), posted(found)))
    assert mapping_io.load_contract(Mapping.objects.get()) == parse_mapping(raw)


def test_ends_are_found_by_their_address_however_it_is_written() -> None:
    raw = raw_mapping()
    store_ends(raw)
    text = """
source: {source_type: pgsql, url: "postgresql://SOURCE.example:5432/", db_name: shop, username: reader}
destination: {main: {destination_type: pgsql, url: warehouse.example, port: 5432, db_name: dwh, username: writer,
  password: "env:DEST_PASSWORD", schema: shop}}
tables: [{table_name: orders, cron: self-managed, mode: dumping}]
"""
    client = editor()

    found = opened(client, paste(client, text))

    form = posted(found)
    assert form["source"] == str(Source.objects.get().pk)
    assert form["named_destinations-0-name"] == "main"
    assert form["named_destinations-0-destination"] == str(Destination.objects.get().pk)
    assert "source is ends, with the secrets that are stored there" in unescape(found.content.decode())


def test_what_is_not_stored_is_named_with_a_form_to_add_it_that_holds_no_secret() -> None:
    store_ends(raw_mapping())
    other = WAREHOUSE | {"url": "other.example", "password": "very-secret", "certificate_file": "env:PG_CA"}
    raw = raw_mapping(destination={"warehouse": WAREHOUSE, "copy": other})
    text = dump_json(parse_mapping(raw), reveal=True)

    answer = paste(editor("add_destination"), text).content.decode()

    assert "destination copy" in answer
    assert "very-secret" not in answer
    assert "source-secret" not in answer
    (link,) = re.findall(r'href="([^"]+)"', answer)
    query = {key: value for key, (value,) in parse_qs(urlsplit(unescape(link)).query).items()}
    assert query == {
        "name": "jobs:copy",
        "destination_type": "pgsql",
        "pgsql__url": "other.example",
        "pgsql__db_name": "dwh",
        "pgsql__username": "writer",
        "pgsql__schema": "shop",
        "pgsql__certificate_file": "env:PG_CA",
    }


@pytest.mark.parametrize(
    "written",
    [
        {"url": "postgresql://reader:hunter2@source.example:5432/shop"},
        {"primary_url": "reader:hunter2@primary.example"},
        {"passwd": "hunter2"},
    ],
    ids=str,
)
def test_password_at_a_wrong_place_of_the_text_is_in_no_address(written: dict[str, str]) -> None:
    client = editor("add_source", "add_destination")
    answer = paste(client, json.dumps(raw_mapping(source=raw_mapping()["source"] | written)))
    text = answer.content.decode()
    assert "pgsql__db_name=shop" in text
    assert "hunter2" not in text


def test_a_reference_in_place_of_a_secret_goes_along() -> None:
    store_ends(raw_mapping())
    raw = raw_mapping(destination={"warehouse": WAREHOUSE | {"url": "other.example"}})
    client = editor("add_destination")

    (link,) = re.findall(r'href="([^"]+)"', paste(client, dump_python(parse_mapping(raw))).content.decode())

    assert client.get(unescape(link)).status_code == 200
    assert parse_qs(urlsplit(unescape(link)).query)["pgsql__password"] == ["env:DEST_PASSWORD"]


def test_an_end_at_the_same_address_that_differs_is_not_taken_for_it() -> None:
    store_ends(raw_mapping())
    raw = raw_mapping(destination={"warehouse": WAREHOUSE | {"schema": "other"}})

    answer = unescape(paste(editor(), dump_yaml(parse_mapping(raw))).content.decode())

    assert "ends:warehouse is at this address and differs in schema" in answer
    assert "Ask somebody who may add a destination" in answer


def test_of_several_that_say_the_same_the_one_with_the_same_references_is_taken() -> None:
    save_mapping("first", destination={"warehouse": WAREHOUSE | {"password": "env:DEST_OTHER_PASSWORD"}})
    save_mapping("second")
    client = editor()

    form = posted(opened(client, paste(client, dump_python(parse_mapping(raw_mapping())))))

    assert form["named_destinations-0-destination"] == str(Destination.objects.get(name="second:warehouse").pk)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no dictionary"),
        ("{", "line 1: is no valid JSON"),
        ("mapping = {'source': open('x')}", "only literals"),
        ("source: [", "is no valid YAML"),
        ("source: {source_type: oracle}", "source.source_type"),
        (
            '{"source": {"source_type": "pgsql", "url": "source.example", "db_name": "shop"}, "tables": ["x"]}',
            "tables[0]",
        ),
        ("destination: {}", "is required"),
    ],
)
def test_text_that_cannot_be_read_says_why(text: str, says: str) -> None:
    store_ends(raw_mapping())

    answer = paste(editor(), text)

    assert says in unescape(answer.content.decode())
    assert "HX-Redirect" not in answer.headers


def test_mistakes_of_a_text_are_shown_once_it_is_in_the_form() -> None:
    store_ends(raw_mapping())
    client = editor()
    text = dump_json(parse_mapping(raw_mapping())).replace('"bookmark"', '"bookmrk"')

    found = opened(client, paste(client, text))

    saved = client.post(url(Mapping, "add"), posted(found))
    assert not Mapping.objects.exists()
    text = unescape(saved.content.decode())
    assert "did you mean 'bookmark'?" in text


def test_a_text_about_another_kind_of_source_does_not_fill_a_stored_mapping() -> None:
    save_mapping()
    text = "source: {source_type: mongo, url: 'mongodb://m', db_name: d}\ncollections: []\ndestination: {}"
    mapping_io.save_mapping(
        "m",
        mapping_io.parse(
            {
                "source": {"source_type": "mongo", "url": "mongodb://m", "db_name": "d"},
                "destination": {},
                "collections": [{"collection_name": "c", "cron": "self-managed", "mode": "dumping"}],
            }
        ),
    )

    assert "new mapping" in paste(editor(), text, object_id="shop").content.decode()


def test_only_who_may_write_pastes() -> None:
    save_mapping()
    text = dump_json(parse_mapping(raw_mapping()))

    assert paste(staff("view_mapping", name="bob"), text).status_code == 403
    Mapping.objects.update(managed_by="ci")
    assert paste(editor(), text, object_id="shop").status_code == 403
    assert AuditEntry.objects.count() == 0


def test_a_draft_from_elsewhere_opens_the_form_filled_and_unsaved() -> None:
    store_ends(raw_mapping())
    client = editor()
    session = client.session
    document = {
        "source": "ends",
        "destinations": ["ends:warehouse"],
        "tables": [raw_table(), raw_table(table_name="b")],
    }
    session["dms_draft:k"] = {"id": "fresh", "document": document}
    session.save()

    found = client.get(url(Mapping, "add") + "?draft=k")

    assert "not saved yet" in found.content.decode()
    assert not Mapping.objects.exists()
    assert accepted(client.post(url(Mapping, "add") + "?draft=k", posted(found)))
    stored = mapping_io.load_contract(Mapping.objects.get(pk="fresh"))
    assert stored == parse_mapping(raw_mapping(tables=[raw_table(), raw_table(table_name="b")]))


def test_a_draft_that_names_what_is_gone_opens_all_the_same() -> None:
    client = editor()
    session = client.session
    session["dms_draft:k"] = {
        "id": "x",
        "document": {"source": "no", "destinations": ["none"], "tables": [raw_table()]},
    }
    session.save()

    text = client.get(url(Mapping, "add") + "?draft=k").content.decode()

    assert "source no is not there any more" in text
    assert "destination none is not there any more" in text
    assert 'value="orders"' in text
    assert "choose it again" in client.get(url(Mapping, "add") + "?draft=other").content.decode()


def test_a_form_that_is_opened_without_a_draft_is_empty() -> None:
    found = editor().get(url(Mapping, "add"))

    assert posted(found)["tables-TOTAL_FORMS"] == 0
    assert page(spec())["tables-TOTAL_FORMS"] == 1


def test_text_that_is_too_large_is_refused_in_a_sentence() -> None:
    client = editor()

    answer = paste(client, "x" * (1024 * 1024 + 1))

    assert answer.status_code == 200
    assert "is larger than 1 MB, the most that a page reads; import its file by" in answer.content.decode()
    assert 'data-dms-most="1048576"' in client.get(url(Mapping, "add")).content.decode()


def test_form_that_is_too_large_for_the_service_is_answered_by_a_page_with_words() -> None:
    answer = paste(editor(), "x" * 2_700_000)

    assert answer.status_code == 400
    assert "it is larger than a form may be, which is 2.5 MB without files" in answer.content.decode()
