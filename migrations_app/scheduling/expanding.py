"""Streams behind `*`: the source is asked now and then which tables there are, apart from what is due when."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.utils import timezone

from connectors.errors import ConnectorError
from connectors.mapping import EVERY_TABLE, MappingError
from migrations_app import plans
from migrations_app.models import Mapping, MappingDestination, Stream
from migrations_app.secrets import SecretUnreadableError

logger = logging.getLogger(__name__)

_EVERY = timedelta(minutes=5)
_AT_A_TIME = 5


def take_due_expansions(now: datetime | None = None) -> list[str]:
    """The mappings with a `*` whose tables are to be looked up now, after a change or a while; each is taken once."""
    now = now or timezone.now()
    is_due = Q(expanded_at=None) | Q(expanded_at__lt=F("updated_at")) | Q(expanded_at__lt=now - _EVERY)
    due = Mapping.objects.filter(is_due, enabled=True, tables__table_name=EVERY_TABLE).order_by("expanded_at")
    found = list(due.values_list("pk", "expanded_at")[:_AT_A_TIME])
    return [
        pk
        for pk, expanded_at in found
        if Mapping.objects.filter(pk=pk, expanded_at=expanded_at).update(expanded_at=now)
    ]


def expand(mapping_id: str) -> None:
    """Make streams for the tables that a mapping's `*` stands for now, and put those to rest that are gone.

    A source that cannot be asked changes nothing, nor does a destination that is wrong with its own streams; the next
    look does.
    """
    for destination in MappingDestination.objects.filter(mapping=mapping_id).values_list("name", flat=True):
        _expand(mapping_id, destination)


def _expand(mapping_id: str, destination: str) -> None:
    extra = {"action": "schedule", "mapping": mapping_id}
    try:
        planned = plans.build(mapping_id, destination=destination)
    except (MappingError, ConnectorError, SecretUnreadableError) as error:
        logger.warning("tables of a mapping not looked up for %s: %s", destination, error, extra=extra)
        return
    gone = Stream.objects.filter(mapping=mapping_id, destination_name=destination, active=True).exclude(
        unique_id__in=[plan.stream.unique_id for plan in planned]
    )
    for stream in gone:
        Stream.objects.filter(pk=stream.pk).update(active=False)
        logger.warning("the source has this table no more", extra=extra | {"stream": stream.unique_id})
