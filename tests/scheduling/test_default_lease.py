"""What is killed goes on within two minutes on a live host, by the lease and the delays of a plain installation."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from tests.runner.shop import ROWS, Shop, table
from tests.scheduling.working import Host, Hosts

pytestmark = [pytest.mark.stress, pytest.mark.timeout(300)]

_WITHIN_S = 120.0
#: Rows come at 60 a 0.9 s, which is a chunk.
_SLOW = 0.015


def _child(host: Host, child: int) -> None:
    os.kill(child, signal.SIGKILL)


def _slot(host: Host, child: int) -> None:
    slot = psutil.Process(child).parent()
    assert slot is not None
    slot.kill()


def _cluster(host: Host, child: int) -> None:
    runs = host.clusters()["runs"]
    for process in [runs, *runs.children(recursive=True)]:
        process.kill()


def _both_clusters(host: Host, child: int) -> None:
    for process in host.everything()[1:]:
        process.kill()


def _supervisor(host: Host, child: int) -> None:
    host.process.kill()
    host.process.wait()


def _host(host: Host, child: int) -> None:
    host.kill()


_VICTIMS = [_child, _slot, _cluster, _both_clusters, _supervisor, _host]


@pytest.mark.parametrize("kill", _VICTIMS, ids=lambda kill: kill.__name__.strip("_"))
def test_killed_run_goes_on_within_two_minutes(shop: Shop, hosts: Hosts, kill: Callable[[Host, int], None]) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    # The first has the tick as well, which the other one has to notice.
    dying = hosts.start("dying", DMS_RESUME_DELAY_S="10")
    shop.plane.check("run_migration", shop.mapping_id, "--queue")
    hosts.wait_until(lambda: any(read for (read,) in shop.plane.runs("read")), "a commit")
    hosts.start("other", DMS_RESUME_DELAY_S="10")
    ((child,),) = shop.plane.rows("SELECT owner_pid FROM migrations_app_run WHERE state = 'running'")

    kill(dying, child)

    began = time.monotonic()
    _wait(shop, hosts, lambda: shop.plane.states()[0] in {"lost", "stopped"}, "the end to be on record")
    recorded_s = time.monotonic() - began
    arrived = shop.arrived()
    shop.speed_up()
    _wait(shop, hosts, lambda: shop.plane.states()[1:] in (["running"], ["succeeded"]), "the resumption to begin")
    resumed_s = time.monotonic() - began
    _wait(shop, hosts, lambda: shop.plane.states()[1:] == ["succeeded"], "its end")
    print(f"{kill.__name__}: on record after {recorded_s:.1f} s, resumed after {resumed_s:.1f} s")  # noqa: T201
    assert resumed_s < _WITHIN_S
    (first, _), (second, resumes) = shop.plane.runs("id", "resumes_id")
    assert resumes == first != second
    assert shop.plane.runs("inserted")[1] == (ROWS - arrived,)
    shop.assert_equal()


def _wait(shop: Shop, hosts: Hosts, is_so: Callable[[], bool], what: str) -> None:
    """Wait, and see at each look that no two runs go on at a time."""

    def look() -> bool:
        assert shop.plane.states().count("running") <= 1
        return is_so()

    hosts.wait_until(look, what, _WITHIN_S + 30)
