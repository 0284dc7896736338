"""The document beside the form follows it unfinished as it is, names what is missing where, and shows no secret."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from connectors.mapping import dump_json, dump_python, dump_yaml
from migrations_app import mapping_io
from migrations_app.models import AuditEntry, Destination, Mapping, Source, Stream
from tests.admin.editing import address, editor, page, rows, spec, store_ends
from tests.admin.people import staff
from tests.controlplane.builders import raw_mapping, raw_table
from tests.controlplane.pages import accepted, save_mapping, url

pytestmark = pytest.mark.django_db


def shown(client: Client, form: dict[str, Any], format_: str = "json") -> tuple[str, str]:
    """The whole answer, and the document in it."""
    answer = client.post(address("draft_document"), form | {"format": format_})
    assert answer.status_code == 200
    html = answer.content.decode()
    found = re.search(r"<pre[^>]*>(.*?)</pre>", html, re.DOTALL)
    assert found is not None
    return unescape(html), unescape(found[1])


def test_a_finished_form_shows_what_its_export_will_be() -> None:
    store_ends(raw_mapping())
    client = editor()
    form = page(spec(grace_updation_lag='{"days": 1}', cron="* * * * * 2 30 0"))

    texts = {each: shown(client, form, each) for each in ("python", "json", "yaml")}

    assert not Mapping.objects.exists()
    assert accepted(client.post(url(Mapping, "add"), form))
    stored = mapping_io.load_contract(Mapping.objects.get())
    exported = {"python": dump_python(stored), "json": dump_json(stored), "yaml": dump_yaml(stored)}
    assert {name: text for name, (_, text) in texts.items()} == exported
    assert "os.getenv('DEST_PASSWORD')" in exported["python"]
    assert all("complete" in html for html, _ in texts.values())


def test_a_destination_without_a_name_is_called_as_it_is_itself() -> None:
    store_ends(raw_mapping())
    client = editor()
    form = page(spec(), **{"named_destinations-0-name": ""})

    html, text = shown(client, form)

    assert "complete" in html
    assert list(json.loads(text)["destination"]) == [Destination.objects.get().name.rpartition(":")[2]]
    assert accepted(client.post(url(Mapping, "add"), form))
    named = Mapping.objects.get().named_destinations.get()
    assert named.name == Destination.objects.get().name.rpartition(":")[2]

    stored = {"named_destinations-0-id": named.pk, "named_destinations-INITIAL_FORMS": 1, "object_id": "jobs"}
    html, _ = shown(client, form | stored)
    assert "give it a name; it is part of every stream's name" in html


def test_a_name_without_a_destination_asks_for_one() -> None:
    store_ends(raw_mapping())

    html, _ = shown(editor(), page(spec(), **{"named_destinations-0-destination": ""}))

    assert "choose a destination" in html
    assert "This field is required" not in html


def test_a_form_without_a_destination_is_not_called_complete() -> None:
    store_ends(raw_mapping())
    form = page(spec()) | rows("named_destinations", [])
    client = editor()

    html, _ = shown(client, form)
    preview = unescape(client.post(address("draft_preview"), form).content.decode())

    assert "no destination yet" in html
    assert "complete" not in html
    assert "no destination yet" in preview
    assert "not complete" not in preview


@pytest.mark.parametrize("format_", ["python", "json", "yaml"])
def test_an_unfinished_form_shows_as_much_as_there_is(format_: str) -> None:
    store_ends(raw_mapping())
    form = page(spec(mode="", bookmark="", primary_key="", cron="* *", fields="{'a': 1}"))

    html, text = shown(editor(), form, format_)

    assert "orders" in text
    assert "source.example" in text
    assert "source-secret" not in html
    assert "10000" not in text
    for place in ("tables[0].mode", "tables[0].cron", "tables[0].fields"):
        assert f"<code>{place}</code>" in html
    assert 'data-dms-field="id_tables-0-cron"' in html
    assert "line 1, column 2" in html


def test_an_empty_form_says_what_to_begin_with() -> None:
    html, text = shown(editor(), page())

    assert json.loads(text)["destination"] == {}
    assert "<code>source</code>" in html


def test_the_key_that_the_mode_needs_is_named_at_its_field() -> None:
    store_ends(raw_mapping())

    html, _ = shown(editor(), page(spec(bookmark="", primary_key="")))

    for key in ("bookmark", "primary_key"):
        assert f'<a href="#id_tables-0-{key}" class="dms-link" data-dms-field="id_tables-0-{key}">' in html


def test_a_mistake_inside_a_field_of_json_names_the_entry() -> None:
    store_ends(raw_mapping())
    client = editor()

    html, _ = shown(client, page(spec(col_rename='{"a": "b", "c": "b"}')))
    saved = client.post(url(Mapping, "add"), page(spec(col_rename='{"a": "b", "c": "b"}')))

    assert "tables[0].col_rename.c" in html
    (formset,) = [each.formset for each in saved.context["inline_admin_formsets"] if each.formset.prefix == "tables"]
    assert formset.forms[0].errors["col_rename"] == [
        "c: gets the same new name as 'a'; choose another name for one of them"
    ]


def test_rows_are_written_in_the_order_in_which_they_are_stored() -> None:
    store_ends(raw_mapping())
    client = editor()
    form = page(spec("b", position="1"), spec("a", position="0"), spec("c", position="2", bookmark=""))

    html, text = shown(client, form)

    assert [each["table_name"] for each in json.loads(text)["tables"]] == ["a", "b", "c"]
    assert "tables[2].bookmark" in html
    assert 'data-dms-field="id_tables-2-bookmark"' in html


def test_a_stored_mapping_that_is_changed_is_shown_changed_and_stays_as_it_is() -> None:
    mapping = save_mapping()
    (table,), (named,) = mapping.tables.all(), mapping.named_destinations.all()
    form = {"id": "shop", "enabled": "on", "source": mapping.source_id, "object_id": "shop"}
    destination = {"id": named.pk, "name": "lake", "destination": named.destination_id, "position": 0}
    form |= rows("named_destinations", [destination], 1) | rows("tables", [spec(batch_size="7") | {"id": table.pk}], 1)

    _, text = shown(editor(), form)

    document = json.loads(text)
    assert list(document["destination"]) == ["lake"]
    assert document["tables"][0]["batch_size"] == 7
    assert mapping_io.load_contract(Mapping.objects.get()) == mapping_io.parse(raw_mapping())


def test_nothing_is_stored_by_asking() -> None:
    store_ends(raw_mapping())
    before = [list(model.objects.values()) for model in (Source, Destination)]
    client = editor()

    for _ in range(2):
        shown(client, page(spec()))

    assert [list(model.objects.values()) for model in (Source, Destination)] == before
    assert [model.objects.count() for model in (Mapping, Stream, AuditEntry)] == [0, 0, 0]


def test_a_mapping_that_is_kept_elsewhere_is_shown_as_it_is_stored_whatever_is_posted() -> None:
    save_mapping()
    Mapping.objects.update(managed_by="ci")

    html, text = shown(editor(), {"object_id": "shop"} | page(spec("other")))

    assert json.loads(text)["tables"][0]["table_name"] == "orders"
    assert "source-secret" not in html


def test_who_may_not_write_sees_the_stored_mapping_and_no_other() -> None:
    save_mapping()
    client = staff("view_mapping")

    _, text = shown(client, {"object_id": "shop"} | page(spec("other")))

    assert json.loads(text)["tables"] == [raw_table()]
    assert client.post(address("draft_document"), page(spec())).status_code == 403
    assert staff(name="bob").post(address("draft_document"), {"object_id": "shop"}).status_code == 403


def test_a_page_elsewhere_cannot_ask() -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = editor().cookies

    assert client.post(address("draft_document"), page()).status_code == 403
    assert client.get(address("draft_document")).status_code == 405


def test_a_page_with_mistakes_shows_what_was_typed_as_it_was() -> None:
    store_ends(raw_mapping())
    typed = {"primary_key": "region, id", "primary_key_datatype": "str,int", "partition_col": "", "fields": ""}
    client = editor()

    answer = client.post(url(Mapping, "add"), page(spec(bookmark="", options="", **typed)))

    (formset,) = [each.formset for each in answer.context["inline_admin_formsets"] if each.formset.prefix == "tables"]
    (form,) = formset.forms
    assert {name: form[name].value() for name in typed} == typed
    assert list(form.errors) == ["bookmark"]


def test_empty_fields_of_json_are_empty_and_stay_so() -> None:
    store_ends(raw_mapping())
    client = editor()
    form = page(spec(options="", fields="", col_rename="", grace_updation_lag=""))

    _, text = shown(client, form)
    assert accepted(client.post(url(Mapping, "add"), form))
    html = client.get(url(Mapping, "change", "jobs")).content.decode()

    assert json.loads(text)["tables"] == [raw_table()]
    assert mapping_io.load_contract(Mapping.objects.get()) == mapping_io.parse(raw_mapping())
    assert ">null</textarea>" not in html.replace("\n", "")


def test_many_tables_take_no_more_queries_than_few() -> None:
    counts: dict[str, set[int]] = {"opened": set(), "asked": set()}
    client = editor()
    # What Django remembers from then on is asked for here.
    client.get(url(Mapping, "add"))
    for number in (2, 40):
        save_mapping(tables=[raw_table(table_name=f"t{i}") for i in range(number)])
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url(Mapping, "change", "shop")).status_code == 200
        counts["opened"].add(len(queries))
        form = page(*(spec(f"t{i}", position=i) for i in range(number)))
        with CaptureQueriesContext(connection) as queries:
            _, text = shown(client, form)
        counts["asked"].add(len(queries))
        assert len(json.loads(text)["tables"]) == number

    assert {name: len(each) for name, each in counts.items()} == {"opened": 1, "asked": 1}, counts
