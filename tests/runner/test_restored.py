"""After a control database was restored from a backup, the destination's record of the position wins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.runner.shop import Shop, table


@pytest.mark.parametrize("mode", ["logging", "syncing", "mirroring"])
def test_restored_control_database_goes_on_where_the_destination_stands(shop: Shop, tmp_path: Path, mode: str) -> None:
    shop.use(table(mode))
    assert shop.migrate().code == 0
    backup = tmp_path / "backup.sqlite3"
    shop.plane.save_as(backup)
    if mode == "logging":
        shop.source.execute("INSERT INTO orders (name, amount) SELECT 'new ' || n, n FROM generate_series(1, 60) AS n")
    else:
        shop.change()
    assert shop.migrate().code == 0
    for left in tmp_path.glob("control.sqlite3*"):
        left.unlink()
    shutil.copy(backup, tmp_path / "control.sqlite3")
    assert len(shop.plane.states()) == 1

    again = shop.migrate()

    assert again.code == 0, again.err
    ((inserted, updated, deleted),) = shop.plane.runs("inserted", "updated", "deleted")[1:]
    assert (inserted, updated, deleted) == (0, 0, 0)
    shop.assert_equal()


def test_copy_that_was_under_way_in_the_backup_is_not_copied_twice(shop: Shop, tmp_path: Path) -> None:
    shop.use(table("syncing"))
    backup = tmp_path / "backup.sqlite3"
    assert shop.migrate(fault="after_checkpoint:2=exit").code == 137
    shop.plane.save_as(backup)
    assert shop.migrate().code == 0
    for left in tmp_path.glob("control.sqlite3*"):
        left.unlink()
    shutil.copy(backup, tmp_path / "control.sqlite3")

    assert shop.migrate().code == 0

    assert shop.plane.states() == ["lost", "succeeded"]
    ((inserted,),) = shop.plane.runs("inserted")[1:]
    assert inserted == 0
    shop.assert_equal()
