"""Pause and resume: a mapping, or some of its streams, is not scheduled for a while. What runs goes on to its end."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from connectors.mapping import Issue, MappingError
from migrations_app.models import Mapping, Stream


def pause(mapping: Mapping, *, table: str | None = None, destination: str | None = None) -> None:
    """Schedule nothing of the mapping, or of the streams that are selected.

    Raises:
        MappingError: The selection names nothing.
    """
    if table is None and destination is None:
        Mapping.objects.filter(pk=mapping.pk).update(enabled=False)
    else:
        _selected(mapping, table, destination).update(paused=True)


def resume(mapping: Mapping, *, table: str | None = None, destination: str | None = None) -> None:
    """Schedule again; without a selection everything, streams that were paused by themselves included.

    Raises:
        MappingError: The selection names nothing.
    """
    if table is not None or destination is not None:
        _selected(mapping, table, destination).update(paused=False)
        return
    with transaction.atomic():
        Mapping.objects.filter(pk=mapping.pk).update(enabled=True)
        mapping.streams.update(paused=False)


def enable(mapping: Mapping) -> None:
    """Schedule the mapping again, but for those of its streams that are paused by themselves."""
    Mapping.objects.filter(pk=mapping.pk).update(enabled=True)


def is_paused(stream: Stream) -> bool:
    """True when nothing of the stream is scheduled because somebody said so. The stream comes with its mapping."""
    return stream.paused or not stream.mapping.enabled


def _selected(mapping: Mapping, table: str | None, destination: str | None) -> Any:
    chosen = {"name": table, "destination_name": destination}
    streams = mapping.streams.filter(**{key: value for key, value in chosen.items() if value is not None})
    if not streams.exists():
        message = "names no stream of the mapping; look at its specs and destinations"
        raise MappingError([Issue(("table" if table is not None else "destination",), message)])
    return streams
