"""Deleting mappings: what goes with them, in numbers, and why one stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.utils.html import format_html

from migrations_app import formats
from migrations_app.admin.posting import url_of
from migrations_app.enums import ACTIVE_STATES
from migrations_app.models import Mapping, Run, Stream


class MappingDeleting:
    """The part of the admin class of mappings that asks before it deletes."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Streams and runs go with their mapping, which nobody may delete while it runs: four queries.

        Django's own would read each run and name it, which takes minutes where a mapping has 200,000.
        """
        mappings: list[Mapping] = list(objs)
        streams = _counted(Stream.objects.filter(mapping__in=mappings), "mapping")
        runs = _counted(Run.objects.filter(stream__mapping__in=mappings), "stream__mapping")
        counts = {
            "mappings": formats.human_count(len(mappings)),
            "streams": formats.human_count(sum(streams.values())),
            "runs, with their logs": formats.human_count(sum(runs.values())),
        }
        may_not = [each for each in mappings if not self.has_delete_permission(request, each)]  # type: ignore[attr-defined]
        named = [part for each in mappings for part in _named(each, streams.get(each.pk, 0), runs.get(each.pk, 0))]
        return named, counts, {"mapping"} if may_not else set(), _at_work(mappings)


def _counted(rows: Any, by: str) -> dict[str, int]:
    return dict(rows.order_by().values_list(by).annotate(Count("pk")))


def _named(mapping: Mapping, streams: int, runs: int) -> list[Any]:
    """The mapping, and below it what goes with it, as Django nests them."""
    link = format_html('Mapping: <a href="{}">{}</a>', url_of(mapping, "overview"), mapping)
    return [link, [formats.counted(streams, "stream"), formats.counted(runs, "run")]]


def _at_work(mappings: Sequence[Mapping]) -> list[str]:
    """The runs that keep a mapping."""
    found = Run.objects.filter(stream__mapping__in=mappings, state__in=ACTIVE_STATES).select_related("stream")
    return [f"a run of {run.stream.unique_id}, which is {run.state}; wait for its end, or stop it" for run in found]
