"""Lists in pages: the cursor says after which row the next page begins, so that new rows shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from django.db.models import Q, QuerySet
from pydantic import BaseModel, Field

from connectors.mapping.base import Contract
from migrations_app.api.problems import Mistake, Problem


class PageQuery(Contract):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=200)] = Field(default=50, description="rows in a page")
    cursor: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="next_cursor of the page before"
    )


class Page(BaseModel):
    """What all lists have beside their items."""

    next_cursor: str | None = Field(description="to be sent as cursor for the next page; null on the last one")


def by_key(rows: QuerySet[Any], query: PageQuery) -> tuple[list[Any], str | None]:
    """A page of rows in the order of their text keys, and the cursor of the next one."""
    if query.cursor is not None:
        (key,) = _read(query.cursor, 1)
        rows = rows.filter(pk__gt=key)
    return _cut(list(rows.order_by("pk")[: query.limit + 1]), query.limit, lambda row: [row.pk])


def by_name(rows: QuerySet[Any], query: PageQuery) -> tuple[list[Any], str | None]:
    """The same in the order of their names."""
    if query.cursor is not None:
        (name,) = _read(query.cursor, 1)
        rows = rows.filter(name__gt=name)
    return _cut(list(rows.order_by("name")[: query.limit + 1]), query.limit, lambda row: [row.name])


def newest_first(rows: QuerySet[Any], query: PageQuery) -> tuple[list[Any], str | None]:
    """The same for rows with `created_at`, the newest first."""
    if query.cursor is not None:
        at, key = _read(query.cursor, 2)
        try:
            moment, last = in_utc(datetime.fromisoformat(at)), uuid.UUID(key)
        except ValueError:
            raise _wrong() from None
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=last))
    found = list(rows.order_by("-created_at", "-pk")[: query.limit + 1])
    return _cut(found, query.limit, lambda row: [row.created_at.isoformat(), str(row.pk)])


def in_utc(moment: datetime) -> datetime:
    """A moment as every database takes it, which some offsets are not; without a zone it is UTC already.

    Raises:
        ValueError: It lies outside of the calendar.
    """
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = "expected a time between the years 1 and 9999"
        raise ValueError(message) from None


def _cut(found: list[Any], limit: int, place: Any) -> tuple[list[Any], str | None]:
    rest = found[limit:]
    kept = found[:limit]
    return kept, _write(place(kept[-1])) if rest else None


def _write(place: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read(cursor: str, count: int) -> list[str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise _wrong() from None
    is_place = isinstance(place, list) and len(place) == count and all(isinstance(each, str) for each in place)
    if not is_place or any("\0" in each for each in place):
        raise _wrong()
    return [str(each) for each in place]


def _wrong() -> Problem:
    mistake = Mistake(parameter="cursor", code="invalid", detail="is no cursor of this list; begin without one")
    return Problem(400, "invalid_parameter", "parameters are wrong; each is listed under errors", errors=[mistake])
