"""Upkeep of the files of a table: check them, make their manifest anew, merge small ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.base import Destination, RunReport
from connectors.errors import ConfigError
from connectors.verbs import Compacted, FileCheck, Rebuilt
from migrations_app import plans, runs
from migrations_app.plans import Plan
from migrations_app.verbs.reset import refuse_while_running


def check(plan: Plan) -> FileCheck:
    """Compare a table's files with its manifest. Changes nothing.

    Raises:
        ConfigError: The destination keeps no files.
        ConnectorError: It cannot be asked.
    """
    with _destination(plan) as destination:
        found = destination.check_files()
    if found is None:
        raise _no_files(plan)
    return found


def rebuild(plan: Plan) -> Rebuilt:
    """Make a table's manifest anew, from its files. Removes none of them.

    Raises:
        AlreadyRunningError: A run of the stream is active; it would be fenced off.
        ConfigError: The destination keeps no files, or there is nothing to rebuild.
        ConnectorError: The files contradict each other, or the destination cannot be asked.
    """
    refuse_while_running(plan)
    stream = plans.stream_row(plan)
    with _destination(plan) as destination:
        rebuilt = destination.rebuild_manifest()
    if rebuilt is None:
        raise _no_files(plan)
    # No file says how far the stream had come, so ours must not be believed in place of the one that is gone.
    runs.reset_checkpoint(stream, None, max(rebuilt.epoch, stream.epoch))
    return rebuilt


def compact(plan: Plan, *, dry_run: bool = False) -> Compacted:
    """Merge small files of a table. No row changes.

    Args:
        plan: The stream.
        dry_run: Only tell what would be merged.

    Raises:
        AlreadyRunningError: A run of the stream is active; it would be fenced off.
        ConfigError: The destination keeps no files.
        ConnectorError: An end cannot be asked.
    """
    if not dry_run:
        refuse_while_running(plan)
    source = plan.source(RunReport())
    with _destination(plan) as destination:
        try:
            source.open()
            schema = source.describe(destination.stored_position())
        finally:
            source.close()
        done = destination.compact(schema, epoch_floor=plans.stream_row(plan).epoch, dry_run=dry_run)
    if done is None:
        raise _no_files(plan)
    return done


@contextmanager
def _destination(plan: Plan) -> Iterator[Destination]:
    destination = plan.destination(RunReport())
    try:
        destination.connect()
        yield destination
    finally:
        destination.close()


def _no_files(plan: Plan) -> ConfigError:
    kind = plan.destination_config.destination_type
    message = f"destination {plan.destination_name} is of type {kind}, which keeps no files; choose one of type s3"
    return ConfigError(message, connector=f"{kind} destination", stream=plan.stream.unique_id)
