"""Control planes, shops and worker hosts for the tests of scheduling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runner.conftest import control as control
from tests.runner.conftest import plane as plane
from tests.runner.conftest import postgres_plane as postgres_plane
from tests.runner.conftest import postgres_warm as postgres_warm
from tests.runner.conftest import shop as shop
from tests.runner.conftest import warm as warm
from tests.runner.plane import Plane, Warm
from tests.scheduling.working import Hosts


@pytest.fixture
def hosts(warm: Warm, plane: Plane, tmp_path: Path) -> Iterator[Hosts]:
    """Worker hosts, none of them started."""
    opened = Hosts(warm, plane, tmp_path)
    yield opened
    opened.end()
