"""The lists of streams and mappings: how each row stands, and rows by how they stand, by where from and where to."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrations_app.models import Destination, Mapping, Run, Source, Stream, StreamTotals
from tests.admin.acting import OPERATOR, VIEWER, person
from tests.controlplane.builders import make_run, make_stream, raw_mapping, raw_table
from tests.controlplane.pages import save_mapping, url

pytestmark = pytest.mark.django_db


def listed(model: type, **asked: Any) -> set[Any]:
    """The keys of the rows that the list shows."""
    name = f"u{len(asked)}{model.__name__}{abs(hash(str(asked)))}"
    answer: Any = person(*VIEWER, name=name).get(url(model, "changelist"), asked)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


def two_mappings() -> tuple[Stream, Stream]:
    """One stream that fails to `warehouse`, one that has never run to a lake of its own."""
    failing = save_mapping("shop").streams.get()
    StreamTotals.objects.create(stream=failing, last_state="failed", last_finished_at=timezone.now())
    lake = {"lake": raw_mapping()["destination"]["warehouse"] | {"url": "lake.example"}}
    source = raw_mapping()["source"] | {"url": "other.example"}
    new = save_mapping("other", destination=lake, source=source).streams.get()
    return failing, new


def test_streams_are_found_by_how_they_stand() -> None:
    failing, new = two_mappings()

    assert listed(Stream, standing="failing") == {failing.pk}
    assert listed(Stream, standing="never_run") == {new.pk}
    assert listed(Stream, standing="late") == set()
    assert listed(Stream, standing="nonsense") == set()


def test_streams_are_found_by_where_they_copy() -> None:
    failing, new = two_mappings()

    assert listed(Stream, mapping="other") == {new.pk}
    assert listed(Stream, source=Source.objects.get(name="shop").pk) == {failing.pk}
    assert listed(Stream, destination=Destination.objects.get(name="other:lake").pk) == {new.pk}
    assert listed(Stream, destination="no-number") == {failing.pk, new.pk}


def test_mappings_are_found_by_how_they_stand_and_where_they_copy() -> None:
    two_mappings()

    assert listed(Mapping, standing="failing") == {"shop"}
    assert listed(Mapping, source=Source.objects.get(name="other").pk) == {"other"}
    assert listed(Mapping, destination=Destination.objects.get(name="shop:warehouse").pk) == {"shop"}


def test_rows_say_how_they_stand_and_why() -> None:
    two_mappings()
    client = person(*VIEWER)

    streams = client.get(url(Stream, "changelist")).content.decode()
    assert "Failing" in streams
    assert "a run failed" in streams.lower()
    mappings = client.get(url(Mapping, "changelist")).content.decode()
    assert "Failing" in mappings
    assert "/admin/migrations_app/mapping/shop/see/overview/" in mappings


def test_where_mappings_are_kept_is_told_only_where_it_differs() -> None:
    mapping = save_mapping()
    client = person(*VIEWER)

    assert "column-kept" not in client.get(url(Mapping, "changelist")).content.decode()

    Mapping.objects.filter(pk=mapping.pk).update(managed_by="ci")
    assert "column-kept" in client.get(url(Mapping, "changelist")).content.decode()


@pytest.mark.parametrize("count", [10, 1000])
@pytest.mark.parametrize("asked", [{}, {"standing": "failing"}])
def test_number_of_queries_does_not_grow_with_the_streams(count: int, asked: dict[str, str]) -> None:
    mapping = make_stream().mapping
    Stream.objects.bulk_create(
        Stream(unique_id=f"shop_DMS_{n}_lake", mapping=mapping, noun="table", name=str(n), destination_name="lake")
        for n in range(count)
    )
    streams = list(Stream.objects.all())
    StreamTotals.objects.bulk_create(StreamTotals(stream=each, last_state="failed") for each in streams)
    make_run(streams[0])
    client = person(*OPERATOR)
    client.get(url(Stream, "changelist"), asked)

    with CaptureQueriesContext(connection) as seen:
        client.get(url(Stream, "changelist"), asked)

    assert len(seen) <= 25, [query["sql"][:120] for query in seen]


def test_number_of_queries_does_not_grow_with_the_mappings() -> None:
    counts = []
    client = person(*OPERATOR)
    for number in (1, 12):
        for n in range(number):
            save_mapping(f"shop{number}-{n}", tables=[raw_table()])
        client.get(url(Mapping, "changelist"))
        with CaptureQueriesContext(connection) as seen:
            client.get(url(Mapping, "changelist"))
        counts.append(len(seen))

    assert counts[0] == counts[1]
    assert not Run.objects.exists()
