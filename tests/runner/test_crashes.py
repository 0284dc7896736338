"""A run is killed at every boundary, in every mode, and run again: nothing lost, nothing doubled, nothing partial."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from connectors.faults import OBJECT_STORE_POINTS, FaultPoint
from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer
from tests.databases import new_database
from tests.runner.plane import Plane, Warm
from tests.runner.shop import ROWS, Shop, table

_POINTS = [point for point in FaultPoint if point not in OBJECT_STORE_POINTS]
#: Behind these the outcome is on record already.
_AFTER_OUTCOME = {FaultPoint.BEFORE_MIRROR, FaultPoint.BEFORE_NOTIFY}
#: A dump that is durable when its process dies stays, and the next run adds its own.
_DUMP_IS_DURABLE = {
    FaultPoint.AFTER_DEST_COMMIT,
    FaultPoint.BEFORE_CHECKPOINT,
    FaultPoint.AFTER_CHECKPOINT,
    FaultPoint.BEFORE_FINISH,
    FaultPoint.AFTER_FINISH,
    FaultPoint.BEFORE_OUTCOME,
} | _AFTER_OUTCOME
_KILLED = 137
_INCREMENTAL = [Mode.LOGGING, Mode.SYNCING, Mode.MIRRORING]
#: Passed once a chunk: killed in the second one, so that a part of the copy is there.
_IN_CHUNKS = {
    FaultPoint.AFTER_STAGE_COPY,
    FaultPoint.BEFORE_DEST_COMMIT,
    FaultPoint.AFTER_DEST_COMMIT,
    FaultPoint.BEFORE_CHECKPOINT,
    FaultPoint.AFTER_CHECKPOINT,
}


@pytest.fixture(scope="module")
def lasting_shop(warm: Warm, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Shop]:
    """One shop for all crashes: a mapping a mode, each with a destination schema of its own."""
    plane = Plane(warm, tmp_path_factory.mktemp("plane"))
    with new_database(postgres, "source") as source, new_database(postgres, "destination") as destination:
        opened = Shop(source, destination, plane)
        opened.add_table()
        for mode in Mode:
            opened.use(table(mode), mapping_id=mode, schema=mode)
        yield opened
        plane.end()


@pytest.fixture
def shop(lasting_shop: Shop) -> Shop:
    """The lasting shop with a source as new and nothing at the destination, which means a full copy."""
    lasting_shop.source.execute("DROP TABLE orders")
    lasting_shop.add_table()
    lasting_shop.destination.execute(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT nspname FROM pg_namespace WHERE nspname IN"
        " ('dumping', 'logging', 'syncing', 'mirroring') LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name);"
        " END LOOP; END $$"
    )
    return lasting_shop


def _change_as(mode: Mode, shop: Shop) -> None:
    """Change what the mode carries over."""
    if mode is Mode.LOGGING:
        shop.source.execute("INSERT INTO orders (name) SELECT 'late ' || n FROM generate_series(1, 60) AS n")
        return
    shop.change()
    if mode is Mode.MIRRORING:
        shop.delete()


def _assert_recovered(shop: Shop, point: FaultPoint) -> None:
    """The run after the killed one did all of it, at once."""
    again = shop.migrate()
    assert (again.code, again.err) == (0, "")
    killed, last = shop.plane.states()[-2:]
    assert killed == ("succeeded" if point in _AFTER_OUTCOME else "lost")
    assert last == "succeeded"


@pytest.mark.parametrize("point", _POINTS)
@pytest.mark.parametrize("mode", _INCREMENTAL)
def test_first_copy_killed(shop: Shop, mode: Mode, point: FaultPoint) -> None:
    shop.choose(mode)
    nth = 2 if point in _IN_CHUNKS else 1

    assert shop.migrate(fault=f"{point}:{nth}=exit").code == _KILLED

    _assert_recovered(shop, point)
    shop.assert_equal()


@pytest.mark.parametrize("point", _POINTS)
@pytest.mark.parametrize("mode", _INCREMENTAL)
def test_follow_run_killed(shop: Shop, mode: Mode, point: FaultPoint) -> None:
    shop.choose(mode)
    assert shop.migrate().code == 0
    _change_as(mode, shop)

    assert shop.migrate(fault=f"{point}=exit").code == _KILLED
    if mode is not Mode.LOGGING:
        # What was copied by the killed run changes again before the next.
        shop.source.execute("UPDATE orders SET amount = -1, updated_at = now() WHERE id % 50 = 1")

    _assert_recovered(shop, point)
    shop.assert_equal()


@pytest.mark.parametrize("point", _POINTS)
def test_killed_dump_leaves_no_partial_snapshot(shop: Shop, point: FaultPoint) -> None:
    shop.choose(Mode.DUMPING)
    assert shop.migrate().code == 0
    before = shop.contents(shop.source, "orders")
    shop.change()
    changed = shop.contents(shop.source, "orders")

    assert shop.migrate(fault=f"{point}=exit").code == _KILLED

    killed = [changed] if point in _DUMP_IS_DURABLE else []
    assert shop.snapshots() == [before, *killed]
    _assert_recovered(shop, point)
    assert shop.snapshots() == [before, *killed, changed]


@pytest.mark.parametrize("point", _POINTS)
def test_first_dump_killed(shop: Shop, point: FaultPoint) -> None:
    shop.choose(Mode.DUMPING)
    whole = shop.contents(shop.source, "orders")

    assert shop.migrate(fault=f"{point}=exit").code == _KILLED

    killed = [whole] if point in _DUMP_IS_DURABLE else []
    assert shop.snapshots() == killed
    _assert_recovered(shop, point)
    assert shop.snapshots() == [*killed, whole]


@pytest.mark.parametrize("nth", [1, 3, 4, 5, 6])
def test_copy_killed_in_any_chunk_goes_on_there(shop: Shop, nth: int) -> None:
    shop.choose(Mode.SYNCING)

    assert shop.migrate(fault=f"after_dest_commit:{nth}=exit").code == _KILLED

    arrived = shop.destination.value("SELECT count(*) FROM syncing.orders")
    _assert_recovered(shop, FaultPoint.AFTER_DEST_COMMIT)
    shop.assert_equal()
    ((inserted,),) = shop.plane.runs("inserted")[-1:]
    assert inserted == ROWS - arrived


@pytest.mark.parametrize(
    ("mode", "fault"),
    [
        (Mode.SYNCING, "before_dest_commit:3=block"),
        (Mode.MIRRORING, "before_checkpoint:2=block"),
        (Mode.LOGGING, "after_open=block"),
        (Mode.SYNCING, "before_finish=block"),
    ],
)
def test_sigkill_while_it_works(shop: Shop, mode: Mode, fault: str) -> None:
    shop.choose(mode)
    command = shop.start(fault=fault)
    command.wait_for_fault()

    command.send(signal.SIGKILL)

    assert command.wait() == -signal.SIGKILL
    _assert_recovered(shop, FaultPoint.AFTER_OPEN)
    shop.assert_equal()


def test_dump_killed_by_sigkill_with_its_transaction_open(shop: Shop) -> None:
    shop.choose(Mode.DUMPING)
    command = shop.start(fault="before_dest_commit=block")
    command.wait_for_fault()

    command.send(signal.SIGKILL)

    command.wait()
    _assert_recovered(shop, FaultPoint.BEFORE_DEST_COMMIT)
    assert shop.snapshots() == [shop.contents(shop.source, "orders")]


@pytest.mark.parametrize("point", _POINTS)
def test_failure_at_any_boundary_is_on_record(shop: Shop, point: FaultPoint) -> None:
    shop.choose(Mode.SYNCING)

    failed = shop.migrate(fault=f"{point}=raise")

    is_over = point in _AFTER_OUTCOME
    assert failed.code == (0 if is_over else 1)
    state, error_class = shop.plane.runs("state", "error_class")[-1]
    assert (state, error_class) == (("succeeded", "") if is_over else ("failed", "InjectedFault"))
    assert shop.migrate().code == 0
    shop.assert_equal()
