"""Workers execute what is queued, and what becomes of runs whose processes are killed, stopped or drained."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from tests.runner.shop import ROWS, Shop, table
from tests.scheduling.working import Host, Hosts

pytestmark = pytest.mark.slow

#: Rows come at 60 a 0.9 s, which is a chunk.
_SLOW = 0.015
_SOON_S = 6.0
#: A lease lasts a minute: what is on record by then was noticed without it.
_LONG_BEFORE_ITS_LEASE_ENDS_S = 20.0


def _queue(shop: Shop) -> None:
    shop.plane.check("run_migration", shop.mapping_id, "--queue")


def _wait_for_commit(shop: Shop, hosts: Hosts) -> int:
    """Until a chunk is on record; the pid of the child that runs."""
    hosts.wait_until(lambda: any(read for (read,) in shop.plane.runs("read")), "a commit")
    ((pid,),) = shop.plane.rows("SELECT owner_pid FROM migrations_app_run WHERE state = 'running'")
    return int(pid)


def _wait_for_end(shop: Shop, hosts: Hosts, timeout_s: float = 60) -> None:
    hosts.wait_until(
        lambda: shop.plane.states()[-1] == "succeeded" and len(shop.plane.states()) > 1, "the resumed run", timeout_s
    )


def _assert_went_on(shop: Shop, arrived: int) -> None:
    """The resumed run copied what was missing, nothing twice, and names the run that it goes on for."""
    (first, _), (second, resumes) = shop.plane.runs("id", "resumes_id")
    assert resumes == first != second
    ((inserted,),) = shop.plane.runs("inserted")[-1:]
    assert inserted == ROWS - arrived
    shop.assert_equal()


def _slot(pid: int) -> psutil.Process:
    """The worker of django-q2 above a child."""
    parent = psutil.Process(pid).parent()
    assert parent is not None
    return parent


@pytest.fixture
def slow_shop(shop: Shop) -> Shop:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    return shop


@pytest.fixture
def host(slow_shop: Shop, hosts: Hosts) -> Host:
    started = hosts.start()
    _queue(slow_shop)
    return started


def test_due_stream_runs_and_again_when_it_is_due_again(shop: Shop, hosts: Hosts) -> None:
    shop.use(table("syncing", cron="* * * * * * * */2"))
    shop.plane.rows("UPDATE migrations_app_servicesettings SET fastapi_server = true")

    host = hosts.start()

    hosts.wait_until(lambda: shop.plane.states().count("succeeded") >= 2, "two runs")
    shop.assert_equal()
    assert host.stop() == 0
    assert "Traceback" not in host.log
    assert shop.plane.rows("SELECT count(*) FROM migrations_app_heartbeat WHERE name LIKE 'worker:%'") == [(0,)]


def test_killed_child_is_recorded_at_once_and_resumed(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    child = _wait_for_commit(slow_shop, hosts)

    os.kill(child, signal.SIGKILL)

    hosts.wait_until(
        lambda: slow_shop.plane.states()[0] == "lost", "the loss to be on record", _LONG_BEFORE_ITS_LEASE_ENDS_S
    )
    assert "killed by SIGKILL" in slow_shop.plane.runs("reason")[0][0]
    arrived = slow_shop.arrived()
    slow_shop.speed_up()
    _wait_for_end(slow_shop, hosts)
    _assert_went_on(slow_shop, arrived)
    assert "run lost" in host.log


def test_killed_slot_stops_its_child_which_is_resumed(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    child = _wait_for_commit(slow_shop, hosts)

    _slot(child).kill()

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "stopped", "the stop to be on record", _SOON_S)
    assert slow_shop.plane.runs("stop_reason")[0] == ("parent_died",)
    arrived = slow_shop.arrived()
    slow_shop.speed_up()
    _wait_for_end(slow_shop, hosts)
    _assert_went_on(slow_shop, arrived)


def test_killed_cluster_is_started_again_and_its_run_resumed(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    _wait_for_commit(slow_shop, hosts)
    runs = host.clusters()["runs"]

    for process in [runs, *runs.children(recursive=True)]:
        process.kill()

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "lost", "the loss to be on record", 15)
    arrived = slow_shop.arrived()
    slow_shop.speed_up()
    _wait_for_end(slow_shop, hosts)
    _assert_went_on(slow_shop, arrived)


def test_host_that_dies_is_made_up_for_by_another(slow_shop: Shop, hosts: Hosts) -> None:
    # The tick is the other one's; test_default_lease.py has it taken over as well.
    short = {"DMS_LEASE_S": "4", "DMS_HEARTBEAT_S": "1"}
    hosts.start("other", **short)
    slow_shop.plane.check("drain", "--host", "other")
    dying = hosts.start("dying", **short)
    _queue(slow_shop)
    _wait_for_commit(slow_shop, hosts)
    slow_shop.plane.check("drain", "--host", "other", "--undo")

    dying.kill()

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "lost", "the loss to be on record", 60)
    arrived = slow_shop.arrived()
    slow_shop.speed_up()
    _wait_for_end(slow_shop, hosts)
    assert slow_shop.plane.runs("owner_host") == [("dying",), ("other",)]
    _assert_went_on(slow_shop, arrived)


def test_worker_that_is_ended_stops_its_runs_within_seconds(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    _wait_for_commit(slow_shop, hosts)

    host.process.send_signal(signal.SIGTERM)

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "stopped", "the stop to be on record", _SOON_S)
    assert slow_shop.plane.runs("stop_reason")[0] == ("drain",)
    assert host.process.wait(40) == 0
    arrived = slow_shop.arrived()
    slow_shop.speed_up()
    hosts.start()
    _wait_for_end(slow_shop, hosts)
    _assert_went_on(slow_shop, arrived)


def test_drained_host_is_empty_and_takes_nothing_until_it_is_undone(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    _wait_for_commit(slow_shop, hosts)

    drained = slow_shop.plane.check("drain", "--host", host.name)

    assert "is empty" in drained.out
    assert slow_shop.plane.runs("state", "stop_reason")[0] == ("stopped", "drain")
    hosts.wait_until(lambda: len(slow_shop.plane.states()) == 2, "the resumption to be queued", 15)
    time.sleep(2)
    assert slow_shop.plane.states() == ["stopped", "queued"]
    arrived = slow_shop.arrived()
    slow_shop.speed_up()
    slow_shop.plane.check("drain", "--host", host.name, "--undo")
    _wait_for_end(slow_shop, hosts)
    _assert_went_on(slow_shop, arrived)


def test_signal_to_a_child_stops_it(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    child = _wait_for_commit(slow_shop, hosts)

    os.kill(child, signal.SIGTERM)

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "stopped", "the stop to be on record")
    assert slow_shop.plane.runs("stop_reason")[0] == ("sigterm",)
    arrived = slow_shop.arrived()
    slow_shop.speed_up()
    _wait_for_end(slow_shop, hosts)
    _assert_went_on(slow_shop, arrived)


def test_operator_stops_a_run_for_good_and_by_force_where_it_hangs(slow_shop: Shop, hosts: Hosts) -> None:
    hosts.start(DMS_STOP_GRACE_S="2", DMS_LEASE_S="600")
    _queue(slow_shop)
    child = _wait_for_commit(slow_shop, hosts)
    os.kill(child, signal.SIGSTOP)

    slow_shop.plane.rows("UPDATE migrations_app_run SET stop_requested = true")

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "stopped", "the stop to be on record", 10)
    stop_reason, reason, resume_at = slow_shop.plane.runs("stop_reason", "reason", "resume_at")[0]
    assert (stop_reason, resume_at) == ("operator", None)
    assert "was killed" in reason
    assert not psutil.pid_exists(child)


def test_child_that_hangs_is_killed_when_its_lease_has_expired(slow_shop: Shop, hosts: Hosts) -> None:
    hosts.start(DMS_LEASE_S="3", DMS_HEARTBEAT_S="0.5")
    _queue(slow_shop)
    child = _wait_for_commit(slow_shop, hosts)

    os.kill(child, signal.SIGSTOP)

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "lost", "the loss to be on record", 15)
    hosts.wait_until(lambda: not psutil.pid_exists(child), "the child to be ended", 40)
    slow_shop.speed_up()
    _wait_for_end(slow_shop, hosts)
    slow_shop.assert_equal()


# It takes as long as the supervisor waits before it believes that a cluster takes no work.
@pytest.mark.stress
@pytest.mark.timeout(300)
def test_worker_whose_idle_slots_were_killed_serves_again(shop: Shop, hosts: Hosts) -> None:
    shop.use(table("syncing"))
    host = hosts.start()
    hosts.wait_for_slots(host)
    time.sleep(1)
    for slot in host.clusters()["runs"].children()[0].children():
        slot.kill()

    _queue(shop)

    hosts.wait_until(lambda: shop.plane.states() == ["succeeded"], "the run", 200)


@pytest.mark.parametrize("name", ["control", "runs"])
def test_cluster_without_its_head_leaves_nothing_behind_and_is_started_again(
    shop: Shop, hosts: Hosts, name: str
) -> None:
    host = hosts.start()
    hosts.wait_until(lambda: len(host.clusters()[name].children(recursive=True)) >= 5, "the cluster to be up")
    cluster = host.clusters()[name]
    parts = cluster.children(recursive=True)

    cluster.kill()

    hosts.wait_until(lambda: not any(map(_is_alive, parts)), "all of its parts to end", 10)
    hosts.wait_until(lambda: name in host.clusters() and host.clusters()[name].pid != cluster.pid, "another one")


def test_supervisor_that_is_killed_leaves_nothing_behind(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    _wait_for_commit(slow_shop, hosts)
    others = host.everything()[1:]

    host.process.kill()
    host.process.wait()

    hosts.wait_until(lambda: slow_shop.plane.states()[0] == "stopped", "the stop to be on record", 10)
    assert slow_shop.plane.runs("stop_reason")[0] == ("parent_died",)
    hosts.wait_until(lambda: not any(map(_is_alive, others)), "all of them to end", 10)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_run_that_is_deleted_with_its_mapping_ends_without_noise(slow_shop: Shop, hosts: Hosts, host: Host) -> None:
    child = _wait_for_commit(slow_shop, hosts)

    delete = "from migrations_app.models import Mapping; Mapping.objects.get(pk='shop').delete()"
    slow_shop.plane.check("shell", "-v0", "-c", delete)

    hosts.wait_until(lambda: not psutil.pid_exists(child), "the child to end", 15)
    assert slow_shop.arrived() < ROWS
    hosts.wait_until(lambda: "Processed 'migrations_app.tasks.serve_runs'" in host.log, "its worker to go on")
    assert "Traceback" not in host.log


def test_failure_that_does_not_pass_is_not_tried_again(shop: Shop, hosts: Hosts) -> None:
    shop.use(table("syncing"))
    shop.source.execute("DROP TABLE orders")
    hosts.start()

    _queue(shop)

    hosts.wait_until(lambda: shop.plane.states() == ["failed"], "the failure")
    assert shop.plane.runs("resume_at") == [(None,)]
