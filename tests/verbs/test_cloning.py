"""A clone says what its original says, and has done nothing."""

from __future__ import annotations

import pytest

from connectors.mapping import MappingError, to_dict
from migrations_app import mapping_io
from migrations_app.models import Checkpoint, Mapping, Source, Stream
from migrations_app.verbs.cloning import clone
from tests.controlplane.builders import make_run, raw_mapping, raw_table

pytestmark = pytest.mark.django_db


def save(mapping_id: str = "shop", **overrides: object) -> Mapping:
    return mapping_io.save_mapping(mapping_id, mapping_io.parse(raw_mapping(**overrides)))


def test_clone_says_what_its_original_says() -> None:
    tables = [raw_table(), raw_table(table_name="items", cron="* * * * * * 0 0", masking_columns=[["phone", 4]])]
    original = save(tables=tables)

    made = clone(original, "shop_copy")

    says = to_dict(mapping_io.load_contract(Mapping.objects.get(pk="shop_copy")), reveal=True)
    assert says == to_dict(mapping_io.load_contract(original), reveal=True)
    assert Source.objects.count() == 1, "a secret was copied"
    assert sorted(made.mapping.streams.values_list("unique_id", flat=True)) == [
        "shop_copy_DMS_items_warehouse",
        "shop_copy_DMS_orders_warehouse",
    ]


def test_clone_is_disabled_kept_here_and_has_no_history() -> None:
    original = save()
    Mapping.objects.update(managed_by="ci", bundle="all", priority=3, description="Orders")
    original.refresh_from_db()
    Checkpoint.objects.create(stream=original.streams.get(), position={}, epoch=1)
    make_run(original.streams.get())

    new = Mapping.objects.get(pk=clone(original, "other").mapping.pk)

    assert (new.enabled, new.managed_by, new.bundle) == (False, "", "")
    assert (new.priority, new.description) == (3, "Orders")
    stream = new.streams.get()
    assert not stream.runs.exists()
    assert not Checkpoint.objects.filter(stream=stream).exists()
    assert not stream.paused


def test_clone_warns_of_the_tables_that_both_would_write() -> None:
    (warning,) = clone(save(), "other").warnings

    assert "same tables as shop (destinations warehouse)" in warning
    assert "schema or s3_suffix" in warning


@pytest.mark.parametrize("new_id", ["shop", "no spaces", "", "x" * 101])
def test_id_that_cannot_be_is_refused_and_nothing_is_made(new_id: str) -> None:
    original = save()

    with pytest.raises(MappingError):
        clone(original, new_id)

    assert Mapping.objects.count() == 1


def test_clone_whose_streams_would_have_the_names_of_others_is_refused() -> None:
    original = save()
    Stream.objects.create(
        unique_id="other_DMS_orders_warehouse",
        mapping=original,
        noun="table",
        name="else",
        destination_name="warehouse",
    )

    with pytest.raises(MappingError, match="would be called"):
        clone(original, "other")

    assert not Mapping.objects.filter(pk="other").exists()
