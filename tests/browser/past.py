"""The past that the pictures show: two weeks of runs like those of the demo, one failure, and one run under way."""

from __future__ import annotations

import random
import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from connectors.mapping import to_dict
from migrations_app import mapping_io, settings_io, starting
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Mapping, Run, Source, Stream, TableSpec
from tests.browser.site import wait_until
from tests.controlplane.builders import raw_table

_DAYS = 14
_BROKEN = 0.04
#: The demo's mappings as it names them.
_MAPPING = "shop_syncing"
_SLOW = "shop_collections"
_PAUSED = "shop_logging"


def write(postgres: str) -> dict[str, str]:
    """Write it into the control database of the demo.

    Args:
        postgres: Host and port of the demo's PostgreSQL.

    Returns:
        Ids of the rows that pictures are taken of, by what they are.
    """
    _turn_schedules_on()
    _two_weeks()
    failed = _failure(postgres.rpartition(":")[0])
    running = _under_way()
    stream = Stream.objects.filter(mapping=_MAPPING).earliest("pk")
    paused = Stream.objects.get(mapping=_PAUSED)
    Stream.objects.filter(pk=paused.pk).update(paused=True)
    return {
        "source": str(Mapping.objects.get(pk=_MAPPING).source_id),
        "mapping": _MAPPING,
        "stream": str(stream.pk),
        "paused": str(paused.pk),
        "run": str(stream.runs.filter(state=RunState.SUCCEEDED).latest("created_at").pk),
        "running": running,
        "failed": failed,
    }


def _turn_schedules_on() -> None:
    document = settings_io.load_settings().model_copy(update={"fastapi_server": True})
    settings_io.save_settings(document)
    TableSpec.objects.filter(mapping="shop_mirroring").update(cron="* * * * * 3 30 0")
    TableSpec.objects.filter(mapping=_MAPPING).update(cron="* * * * * */6 0 0")


def _two_weeks() -> None:
    """Copies of the demo's runs, spread over the days and hours, each a little different; the same each time."""
    chance = random.Random(5)
    found = list(Run.objects.filter(state=RunState.SUCCEEDED))
    now = timezone.now()
    copies = []
    for day in range(_DAYS):
        for original in chance.sample(found, k=min(len(found), 14 + day % 4)):
            at = now - timedelta(days=day, minutes=chance.randint(20, 1400))
            copies.append(_copy(original, at, chance))
    Run.objects.bulk_create(copies)


def _copy(original: Run, at: datetime, chance: random.Random) -> Run:
    share = chance.uniform(0.1, 1.6)
    seconds = (original.seconds or 1.0) * share * 40
    fields: dict[str, Any] = {
        "trigger": TriggerKind.SCHEDULE,
        "state": RunState.SUCCEEDED,
        "plan": original.plan,
        "created_at": at,
        "started_at": at,
        "finished_at": at + timedelta(seconds=seconds),
        **{name: int(getattr(original, name) * share) for name in ("read", "inserted", "updated", "byte_count")},
    }
    if chance.random() < _BROKEN:
        sentence = "the source does not answer; see that its server is up and that firewalls let this host through"
        fields |= {"state": RunState.FAILED, "error_class": "SourceUnavailable", "reason": sentence}
    return Run(id=uuid.uuid4(), trigger_id=uuid.uuid4(), stream_id=original.stream_id, **fields)


def _failure(host: str) -> str:
    """A run whose source is down."""
    good = mapping_io.load_contract(Mapping.objects.get(pk=_MAPPING))
    document: dict[str, Any] = {
        "source": {"source_type": "pgsql", "url": f"{host}:1", "db_name": "billing", "username": "reader"},
        "destination": _revealed(good)["destination"],
        "tables": [raw_table(table_name="invoices", cron="* * * * * */1 0 0")],
    }
    mapping_io.save_mapping("billing", mapping_io.parse(document))
    Source.objects.filter(mappings="billing").update(name="billing")
    starting.start(Mapping.objects.get(pk="billing"), requested_by="demo")
    ended = Run.objects.filter(stream__mapping="billing", state=RunState.FAILED)
    wait_until(ended.exists, "the run of a source that is down to fail")
    return str(ended.latest("created_at").pk)


def _revealed(document: Any) -> dict[str, Any]:
    return to_dict(document, reveal=True)


def _under_way() -> str:
    """A first copy that takes its time: a few documents at once, and a pause after each batch."""
    document = _revealed(mapping_io.load_contract(Mapping.objects.get(pk=_SLOW)))
    warehouse = document["destination"]["warehouse"] | {"schema": "reviews_archive"}
    document["destination"] = {"warehouse": warehouse}
    document["collections"][0] |= {"batch_size": 5, "time_delay": 8}
    mapping_io.save_mapping("reviews_archive", mapping_io.parse(document))
    starting.start(Mapping.objects.get(pk="reviews_archive"), requested_by="demo")
    running = Run.objects.filter(stream__mapping="reviews_archive", state=RunState.RUNNING)
    wait_until(running.exists, "the slow run to be under way")
    with suppress(AssertionError):
        wait_until(running.filter(read__gt=0).exists, "its first rows")
    return str(running.get().pk)
