"""Runs: started, watched, stopped and tried again."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import transaction
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from migrations_app import audit, plans, runs, starting
from migrations_app.api.bodies import read_body
from migrations_app.api.idempotency import HEADERS, once
from migrations_app.api.mappings import find_mapping
from migrations_app.api.paging import newest_first
from migrations_app.api.problems import Problem, not_found
from migrations_app.api.run_shapes import (
    BackfillBody,
    EventShape,
    Log,
    LogQuery,
    Queued,
    RunPage,
    RunQuery,
    RunShape,
    StartBody,
    Stopping,
    TriggerShape,
    WaitQuery,
    shape_of,
    told_of,
)
from migrations_app.api.view import ApiView, answer, operation
from migrations_app.audit import Actor
from migrations_app.enums import EventLevel, RunState, Scope
from migrations_app.models import Mapping, Run, RunEvent
from migrations_app.settings_io import resolved_settings
from migrations_app.starting import Started
from migrations_app.verbs import backfill

_LOOK_S = 0.5

T = TypeVar("T")


def find_run(run_id: str) -> Run:
    """The run of that id, with its stream.

    Raises:
        Problem: There is none.
    """
    try:
        found = Run.objects.select_related("stream").filter(pk=uuid.UUID(run_id)).first()
    except ValueError:
        found = None
    if found is None:
        raise not_found(run_id, noun="run")
    return found


class _RunsAnswered(ApiView):
    """An address that answers runs."""

    def _shape(self, run: Run) -> RunShape:
        return shape_of(run, sees_values=self.caller.sees_values)


class StartView(ApiView):
    """The runs of a mapping."""

    @operation(
        "start_runs",
        "Run a mapping",
        scope=Scope.RUN_WRITE,
        body=StartBody,
        headers=HEADERS,
        answers={202: Queued},
        refusals=(404, 409, 424),
    )
    def post(self, request: Request, mapping_id: str) -> Response:
        """Queues a run for each of its streams, or for those that are selected. Location is where to watch them.

        Streams that have a run already are listed as busy; when all of them have, the answer is 409.
        """
        mapping = find_mapping(mapping_id)
        body = read_body(request, StartBody)

        def prepare() -> Callable[[], Response]:
            starting.check_startable(mapping)
            streams = starting.select(mapping, table=body.table, destination=body.destination)
            name = self.caller.name[:150]

            def act() -> Response:
                started = starting.queue(streams, allow_deletes=body.allow_deletes, requested_by=name)
                return _queued(started, self.actor, "run", mapping, body)

            return act

        return once(request, self.caller.id, prepare)


class BackfillView(ApiView):
    """Backfills of a mapping."""

    @operation(
        "start_backfill",
        "Read a range again",
        scope=Scope.RUN_WRITE,
        body=BackfillBody,
        headers=HEADERS,
        answers={202: Queued},
        refusals=(404, 409, 424),
    )
    def post(self, request: Request, mapping_id: str) -> Response:
        """Queues runs that read a range of one table again and leave the stream's own position where it is."""
        mapping = find_mapping(mapping_id)
        body = read_body(request, BackfillBody)

        def prepare() -> Callable[[], Response]:
            planned = plans.build(mapping.pk, table=body.table, destination=body.destination)
            selection = backfill.parse_selection(
                planned,
                from_key=body.from_key,
                to_key=body.to_key,
                since=body.since,
                until=body.until,
                timezone=resolved_settings().timezone,
            )
            name = self.caller.name[:150]

            def act() -> Response:
                started = starting.queue_backfills(planned, selection, requested_by=name)
                return _queued(started, self.actor, "backfill", mapping, body)

            return act

        return once(request, self.caller.id, prepare)


class RunsView(_RunsAnswered):
    """All runs."""

    @operation("list_runs", "List runs", scope=Scope.RUN_READ, query=RunQuery, answers={200: RunPage})
    def get(self, _request: Request) -> Response:
        """The newest first."""
        query: Any = self.query
        rows = Run.objects.select_related("stream")
        for name, lookup in _FILTERS.items():
            if getattr(query, name) is not None:
                rows = rows.filter(**{lookup: getattr(query, name)})
        found, cursor = newest_first(rows, query)
        return answer(RunPage(items=[self._shape(run) for run in found], next_cursor=cursor))


_FILTERS = {
    "mapping": "stream__mapping",
    "table": "stream__name",
    "destination": "stream__destination_name",
    "state": "state",
    "trigger": "trigger",
    "trigger_id": "trigger_id",
    "since": "created_at__gte",
    "until": "created_at__lt",
}


class RunView(_RunsAnswered):
    """One run."""

    @operation(
        "get_run",
        "Watch a run",
        scope=Scope.RUN_READ,
        query=WaitQuery,
        answers={200: RunShape},
        refusals=(404,),
    )
    def get(self, _request: Request, run_id: str) -> Response:
        """With `wait` the answer comes when the run has ended, or after so many seconds."""
        query: Any = self.query
        found = _waited(lambda: find_run(run_id), _is_final, query.wait)
        return answer(self._shape(found))


class TriggerView(_RunsAnswered):
    """The runs that were started together."""

    @operation(
        "get_trigger",
        "Watch runs that were started together",
        scope=Scope.RUN_READ,
        query=WaitQuery,
        answers={200: TriggerShape},
        refusals=(404,),
    )
    def get(self, _request: Request, trigger_id: str) -> Response:
        """With `wait` the answer comes when all of them have ended, or after so many seconds."""
        query: Any = self.query
        found = _waited(lambda: _triggered(trigger_id), lambda each: all(map(_is_final, each)), query.wait)
        return answer(
            TriggerShape(
                trigger_id=uuid.UUID(trigger_id),
                is_final=all(map(_is_final, found)),
                states=dict(Counter(RunState(run.state).value for run in found)),
                runs=[self._shape(run) for run in found],
            )
        )


class StopView(ApiView):
    """Stopping a run."""

    @operation("stop_run", "Stop a run", scope=Scope.RUN_WRITE, answers={202: Stopping}, refusals=(404,))
    def post(self, _request: Request, run_id: str) -> Response:
        """It ends within seconds at its last commit. Stopping one that has ended changes nothing."""
        run = find_run(run_id)
        with transaction.atomic():
            is_stopping = runs.request_stop(run)
            if is_stopping:
                audit.record(self.actor, "stop", run)
        return answer(Stopping(run=run.pk, stopping=is_stopping), 202)


class RetryView(_RunsAnswered):
    """Trying again."""

    @operation(
        "retry_run",
        "Run again what has ended",
        scope=Scope.RUN_WRITE,
        headers=HEADERS,
        answers={202: RunShape},
        refusals=(404, 409, 422),
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Queues a new run that does what this one was to do, from where its stream is now."""
        run = find_run(run_id)

        def act() -> Response:
            if not _is_final(run):
                raise Problem(409, "not_final", f"run {run.pk} is {run.state}; wait for its end, or stop it")
            new = starting.retry(run, requested_by=self.caller.name[:150])
            audit.record(self.actor, "retry", run, details={"run": str(new.pk)})
            return answer(self._shape(new), 202, Location=f"/api/v1/runs/{new.pk}")

        return once(request, self.caller.id, lambda: act)


class LogView(ApiView):
    """A run's log."""

    @operation(
        "get_run_log",
        "Read a run's log",
        scope=Scope.RUN_READ,
        query=LogQuery,
        answers={200: Log},
        refusals=(404,),
    )
    def get(self, _request: Request, run_id: str) -> Response:
        """The oldest lines first. Send `last` as `after` to read on."""
        query: Any = self.query
        run = find_run(run_id)
        lines = RunEvent.objects.filter(run=run, pk__gt=query.after)
        if query.level is not None:
            lines = lines.filter(level=query.level)
        untold = "" if self.caller.sees_values else told_of(run)
        found = [
            EventShape(
                id=line.pk,
                at=line.at,
                level=EventLevel(line.level),
                message=f"{run.state}: {untold}" if untold and line.level == EventLevel.ERROR else line.message,
            )
            for line in lines.order_by("pk")[: query.limit]
        ]
        return answer(Log(items=found, last=found[-1].id if found else query.after))


def _queued(started: Started, actor: Actor, action: str, mapping: Mapping, body: BaseModel) -> Response:
    if not started.runs and started.busy:
        ids = [str(run.pk) for run in started.busy]
        raise Problem(409, "already_running", "every stream has a run already; wait for them or stop them", runs=ids)
    if started.runs:
        asked = body.model_dump(mode="json", exclude_none=True)
        audit.record(actor, action, mapping, details=asked | {"trigger_id": str(started.trigger_id)})
    shown = Queued(
        trigger_id=started.trigger_id,
        # None of them has ended; what a backfill has reached is not told here.
        runs=[shape_of(run, sees_values=False) for run in started.runs],
        busy=[shape_of(run, sees_values=False) for run in started.busy],
    )
    # A mapping without destinations has nothing to run, and nothing to watch.
    watched = {"Location": f"/api/v1/triggers/{started.trigger_id}"} if started.runs else {}
    return answer(shown, 202, **watched)


def _triggered(trigger_id: str) -> list[Run]:
    try:
        rows = Run.objects.filter(trigger_id=uuid.UUID(trigger_id)).select_related("stream")
    except ValueError:
        raise not_found(trigger_id, noun="trigger") from None
    found = list(rows.order_by("created_at", "pk"))
    if not found:
        raise not_found(trigger_id, noun="trigger")
    return found


def _is_final(run: Run) -> bool:
    return not RunState(run.state).is_active


def _waited(look: Callable[[], T], is_done: Callable[[T], bool], wait_s: int) -> T:
    until = time.monotonic() + wait_s
    found = look()
    while not is_done(found) and time.monotonic() < until:
        time.sleep(_LOOK_S)
        found = look()
    return found
