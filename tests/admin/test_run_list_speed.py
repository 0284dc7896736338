"""The list of runs with 1,000 streams and 200,000 runs: under 300 ms of the server's time, however it is narrowed."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.test import Client

from migrations_app.models import Run, Stream
from tests.admin.many import make_many
from tests.controlplane.pages import url

pytestmark = [pytest.mark.django_db, pytest.mark.stress]

LIMIT_S = 0.3
TRIES = 5


def test_list_of_200_000_runs_takes_less_than_300_ms(admin_client: Client) -> None:
    make_many()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert Run.objects.count() >= 200_000
    stream = Stream.objects.select_related("mapping").order_by("-pk")[7]
    took = {
        query: _seconds(admin_client, query)
        for query in (
            "",
            "p=50",
            "o=-3",
            "state__exact=failed",
            "state__exact=running",
            "trigger__exact=cli",
            "error_class=any",
            "error_class=SchemaMismatch",
            "error_class=other",
            f"stream__id__exact={stream.pk}",
            f"stream__mapping__id__exact={stream.mapping_id}",
            f"stream__mapping__source__id__exact={stream.mapping.source_id}",
            f"stream__mapping__source__id__exact={stream.mapping.source_id}&error_class=any",
            "since=2020-01-01T00:00&until=2020-02-01T00:00",
            "q=sales",
            "q=table_0001",
            f"q={Run.objects.values_list('pk', flat=True)[100_000]}",
        )
    }

    slow = {query: round(seconds, 3) for query, seconds in took.items() if seconds > LIMIT_S}
    assert slow == {}


def _seconds(client: Client, query: str) -> float:
    """The best of some tries: the first one makes templates, and a busy machine is not the page's doing."""
    tried = []
    for _ in range(TRIES):
        began = time.perf_counter()
        assert client.get(f"{url(Run, 'changelist')}?{query}").status_code == 200
        tried.append(time.perf_counter() - began)
    return min(tried)
