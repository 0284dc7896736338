"""Looking for runs by what people have in hand: a piece of a stream's name, or an id."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Q

from migrations_app.models import Stream


def search(queryset: Any, term: str) -> Any:
    """Narrow runs to what was typed. The streams are looked through, never the runs.

    Args:
        queryset: Runs.
        term: A whole run or trigger id, or words that a stream's name has all of.
    """
    words = term.split()
    if not words:
        return queryset
    if len(words) == 1 and (found := _id(words[0])) is not None:
        return queryset.filter(Q(pk=found) | Q(trigger_id=found))
    streams = Stream.objects.all()
    for word in words:
        streams = streams.filter(unique_id__icontains=word)
    return queryset.filter(stream_id__in=list(streams.values_list("pk", flat=True)))


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
