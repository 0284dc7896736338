"""What a test does with the table that is copied, and looks at in its copy."""

from __future__ import annotations

from migrations_app.enums import RunState
from migrations_app.models import Run
from tests.databases import PgDatabase
from tests.verbs.support import command

Databases = tuple[PgDatabase, PgDatabase]


def execute() -> None:
    """Do what a worker would with the run that waits."""
    queued = Run.objects.get(state=RunState.QUEUED)
    assert command("run_migration", "--run", str(queued.pk)).code == 0


def changed(databases: Databases) -> list[int]:
    """The keys of the rows that were read again."""
    return [key for (key,) in databases[1].rows("SELECT id FROM arrived.orders WHERE note = 'changed' ORDER BY 1")]
