"""Plans for one destination, which what is wrong with another one does not concern."""

from __future__ import annotations

import pytest

from connectors.mapping import MappingError
from migrations_app import mapping_io, plans, settings_io
from tests.controlplane.builders import raw_mapping, raw_settings

pytestmark = pytest.mark.django_db


def test_variable_that_one_destination_lacks_fails_its_own_streams_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://store.example")
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))
    raw = raw_mapping()
    (named,) = raw["destination"].values()
    raw["destination"] = {
        name: {**named, "schema": name, "password": f"env:DEST_{name.upper()}"} for name in ("right", "wrong")
    }
    monkeypatch.setenv("DEST_RIGHT", "of the destination")
    mapping_io.save_mapping("shop", mapping_io.parse(raw))

    (plan,) = plans.build("shop", destination="right")

    assert plan.destination_name == "right"
    with pytest.raises(MappingError, match="DEST_WRONG"):
        plans.build("shop", destination="wrong")
    with pytest.raises(MappingError, match="DEST_WRONG"):
        plans.build("shop")
