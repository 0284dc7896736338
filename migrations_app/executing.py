"""Executing a run of the queue, by whichever process has been told to: a worker's child or `run_migration --run`."""

from __future__ import annotations

from collections.abc import Callable

from migrations_app import plans, runner
from migrations_app.models import Run
from migrations_app.plans import Plan
from migrations_app.runner import Onlooker
from migrations_app.verbs import backfill
from migrations_app.watch import Watch


def execute_queued(
    run: Run, *, watch: Watch, onlooker: Onlooker | None = None, claim: Callable[[Run], bool] | None = None
) -> Run:
    """Run what is in the queue to its outcome; what is wrong with its plan is its outcome.

    Args:
        run: With its stream.
        watch: Notices why to stop.
        onlooker: Shows the progress.
        claim: Makes the run this process's, when it has been claimed by another for it.
    """
    stream = run.stream

    def build() -> Plan:
        (plan,) = plans.build(stream.mapping_id, table=stream.name, destination=stream.destination_name)
        return backfill.plan_of(run, plan)

    return runner.execute(run, build, watch=watch, onlooker=onlooker, claim=claim)
