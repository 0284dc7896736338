"""Which tests of a parallel run share one worker, so that what they share is started once.

xdist's own way, `--dist loadgroup` with marks, hands the groups over in the ids of tests. pytest 9.2 no longer lets it
write them, and nothing says so: each worker then started services, browsers and demos of its own.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

#: How the ids of a group's tests begin; a test belongs to the first that fits. The look at every page in Chromium has
#: a worker and a service of its own, since all browser tests one after the other would take too long.
TOGETHER = (
    "tests/browser/test_every_page.py::",
    "tests/browser/",
    "tests/api/test_at_once.py::",
    "tests/api/test_ci_client.py::",
    "tests/test_demo.py::",
)


class TogetherScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives a group to one worker as a whole, the largest ones first, and then every other test by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return next((start for start in TOGETHER if nodeid.startswith(start)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Use it, unless a way of distributing is asked for."""
    return TogetherScheduling(config, log) if config.getoption("dist") == "load" else None
