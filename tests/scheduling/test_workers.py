"""Workers execute what is queued, and what becomes of runs whose processes end."""

from __future__ import annotations

import pytest

from tests.runner.shop import Shop, table
from tests.scheduling.working import Hosts

pytestmark = pytest.mark.slow


def test_due_stream_runs_and_again_when_it_is_due_again(shop: Shop, hosts: Hosts) -> None:
    shop.use(table("syncing", cron="* * * * * * * */4"))
    shop.plane.rows("UPDATE migrations_app_servicesettings SET fastapi_server = true")

    host = hosts.start()

    hosts.wait_until(lambda: shop.plane.states().count("succeeded") >= 2, "two runs")
    shop.assert_equal()
    assert host.stop() == 0
    assert "Traceback" not in host.log
