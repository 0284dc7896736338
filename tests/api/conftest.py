"""What tests of the API share."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from tests.api.calling import Caller, caller


@pytest.fixture
def api(db: None) -> Caller:
    """A caller that may do everything."""
    cache.clear()
    return caller()
