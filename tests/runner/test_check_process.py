"""A data check in its process: it hears of a cancel that another process wrote, and leaves no statement behind."""

from __future__ import annotations

import json
import signal

import pytest

from tests.builders import make_table
from tests.databases import PgDatabase
from tests.runner.plane import Command, wait_until
from tests.runner.shop import Shop

#: Longer than any test may take.
_NEVER_S = 600.0


@pytest.fixture
def hanging(shop: Shop) -> Command:
    """A data check that reads a table which takes for ever."""
    shop.use(make_table())
    shop.plane.check("run_migration", "shop")
    shop.slow_down(_NEVER_S)
    check = shop.plane.start("verify_migration", "shop", "--keep")
    wait_until(lambda: _reading(shop.source) > 0, f"the source to be read; {check.err}", 60)
    return check


def _reading(database: PgDatabase) -> int:
    """Statements of the data check that hash rows at the source now."""
    found = database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        " AND application_name LIKE 'dms-read%' AND query LIKE '%dms bucket%'"
    )
    return int(found)


def test_cancel_of_another_process_ends_it_and_its_statements(shop: Shop, hanging: Command) -> None:
    shop.plane.rows("UPDATE migrations_app_datacheck SET stop_requested = true, stop_requested_by = 'bob'")

    assert hanging.wait(60) == 4
    ((verdict, result),) = shop.plane.rows("SELECT verdict, result FROM migrations_app_datacheck")
    found = json.loads(result) if isinstance(result, str) else result
    assert (verdict, found["error"]) == ("cancelled", "stopped before it was done: bob cancelled it")
    wait_until(lambda: not _reading(shop.source), "the statement at the source to end", 60)


@pytest.mark.slow
def test_killed_check_leaves_no_statement_behind(shop: Shop, hanging: Command) -> None:
    hanging.send(signal.SIGKILL)

    hanging.wait(60)
    # The server looks for its client every ten seconds.
    wait_until(lambda: not _reading(shop.source), "the statement at the source to end", 90)
    assert shop.plane.rows("SELECT finished_at FROM migrations_app_datacheck") == [(None,)]
