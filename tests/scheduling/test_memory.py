"""Memory that really runs out: the run is on record with what to do, its worker lives on, and the run goes on later."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.runner.plane import wait_until
from tests.runner.shop import Shop, table
from tests.runner.warm import WAKE
from tests.scheduling.working import Hosts

pytestmark = pytest.mark.slow

_CGROUPS = Path("/sys/fs/cgroup")
#: A supervisor; two clusters, each with a sentinel, a pusher and a monitor; three workers in the one, two in the other.
_PROCESSES = 14
#: A row that the run has to hold, and what it may have more than at its start: less than it takes, then enough.
_ROW_BYTES = 80_000_000
_TOO_LITTLE_BYTES = 50_000_000
_FOR_A_ROW = "no memory for what the server sent; give the host more"
_REMEDY = "give the host more memory, or fewer DMS_RUN_WORKERS"


class MemoryGroup:
    """A control group with a limit of memory, of version 1 or 2, for a test that may make one."""

    def __init__(self, parent: Path) -> None:
        self.directory = parent / f"dms-test-{os.getpid()}"
        self.directory.mkdir()
        self._is_v1 = (self.directory / "memory.limit_in_bytes").exists()

    def limit(self, byte_count: int) -> None:
        name = "memory.limit_in_bytes" if self._is_v1 else "memory.max"
        (self.directory / name).write_text(str(byte_count))

    def add(self, process: psutil.Process) -> None:
        (self.directory / "cgroup.procs").write_text(str(process.pid))

    @property
    def kills(self) -> int:
        """How many processes the system has killed here for want of memory."""
        events = self.directory / ("memory.oom_control" if self._is_v1 else "memory.events")
        return int(dict(line.split() for line in events.read_text().splitlines())["oom_kill"])

    def remove(self) -> None:
        # Until the last of its processes is collected it is busy.
        wait_until(lambda: not (self.directory / "cgroup.procs").read_text(), "the group to be empty")
        self.directory.rmdir()


@pytest.fixture
def memory_group() -> Iterator[MemoryGroup]:
    version_1 = _CGROUPS / "memory"
    parent = version_1 if version_1.is_dir() else _CGROUPS
    try:
        group = MemoryGroup(parent)
    except OSError as error:
        pytest.skip(f"no control group of memory can be made below {parent}: {error.strerror}")
    yield group
    group.remove()


@pytest.fixture
def wide_shop(shop: Shop) -> Shop:
    shop.add_table("wide", rows=1)
    shop.source.execute(f"UPDATE wide SET name = repeat('x', {_ROW_BYTES})")
    shop.use(table("dumping", "wide"))
    return shop


def _assert_goes_on(shop: Shop, hosts: Hosts) -> None:
    hosts.wait_until(lambda: shop.plane.states()[-1] == "succeeded", "the resumed run", 60)
    assert shop.snapshots("wide") == [shop.contents(shop.source, "wide")]


@pytest.mark.stress
def test_run_that_the_system_kills_for_want_of_memory_is_recorded_and_resumed(
    wide_shop: Shop, memory_group: MemoryGroup, hosts: Hosts
) -> None:
    host = hosts.start()
    hosts.wait_until(lambda: len(host.everything()) == _PROCESSES, "both clusters to be up")
    for process in host.everything():
        memory_group.add(process)
    memory_group.limit(_TOO_LITTLE_BYTES)
    clusters = {process.pid for process in host.clusters().values()}

    wide_shop.plane.check("run_migration", wide_shop.mapping_id, "--queue")

    hosts.wait_until(lambda: wide_shop.plane.states()[0] == "lost", "the loss to be on record", 60)
    assert memory_group.kills >= 1
    assert _REMEDY in wide_shop.plane.runs("reason")[0][0]
    memory_group.limit(20 * _ROW_BYTES)
    _assert_goes_on(wide_shop, hosts)
    assert {process.pid for process in host.clusters().values()} == clusters
    hosts.end()


def _allow(processes: list[psutil.Process], more_bytes: int) -> None:
    """Let these, and whatever is forked from them, take so much more."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            limit = process.memory_info().vms + more_bytes
            process.rlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


@pytest.mark.stress
def test_run_that_gets_no_memory_fails_with_the_remedy_and_is_resumed(wide_shop: Shop, hosts: Hosts) -> None:
    # Else each thread takes some 70 MB of addresses before it does anything.
    host = hosts.start(DMS_RECONNECTS="0", MALLOC_ARENA_MAX="1")
    hosts.wait_until(lambda: len(host.everything()) == _PROCESSES, "both clusters to be up")
    _allow(host.everything(), _TOO_LITTLE_BYTES)

    wide_shop.plane.check("run_migration", wide_shop.mapping_id, "--queue")

    hosts.wait_until(lambda: wide_shop.plane.states()[0] == "failed", "the failure to be on record")
    assert _FOR_A_ROW in wide_shop.plane.runs("reason")[0][0]
    _allow(host.everything(), 20 * _ROW_BYTES)
    _assert_goes_on(wide_shop, hosts)


@pytest.mark.parametrize(
    ("more_bytes", "told"),
    # Each of its two threads takes some 70 MB of addresses before it does anything.
    [(1_000_000, _REMEDY), (170_000_000, _FOR_A_ROW)],
    ids=["a thread", "a row"],
)
def test_command_that_gets_no_memory_for_something_says_what_to_do(wide_shop: Shop, more_bytes: int, told: str) -> None:
    command = wide_shop.start(fault="after_plan=block", DMS_RECONNECTS=0)
    command.wait_for_fault()
    _allow([psutil.Process(command.pid)], more_bytes)

    command.send(WAKE)

    assert command.wait() == 1
    ((state, reason),) = wide_shop.plane.runs("state", "reason")
    assert state == "failed"
    assert told in reason
    assert told in " ".join(command.out.split())
