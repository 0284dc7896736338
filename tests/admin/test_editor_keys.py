"""What the editor asks for follows from the contract: what is hidden is never needed, what is needed is marked."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.mapping import Mode
from connectors.mapping.mapping import SPECS
from migrations_app.admin.editor.keys import BASICS, DESTINATIONS, LAGS, MODE_WORDS, MODES, NEEDED, rules_of
from migrations_app.enums import Noun
from migrations_app.models.specs import SPEC_ROWS

_MODELS = {model.noun: model for model in SPECS.values()}
_SAMPLES: dict[str, Any] = {
    "primary_key": "id",
    "primary_key_datatype": "int",
    "bookmark": "updated_at",
    "bookmark_timezone": "UTC",
    "improper_bookmarks": True,
    "buffer_updation_lag": {"hours": 1},
    "grace_updation_lag": {"hours": 1},
    "expiry": {"days": 1},
    "fetch_data_query": "SELECT 1",
    "max_delete_fraction": 0.5,
}


def issues(noun: str, **keys: Any) -> set[str]:
    """The keys that the contract finds something wrong with."""
    model = _MODELS[noun]
    try:
        model.model_validate({model.name_key: "t", "cron": "self-managed"} | keys)
    except ValidationError as error:
        return {str(line["loc"][0]) for line in error.errors()}
    return set()


@pytest.mark.parametrize("mode", [mode.value for mode in Mode])
@pytest.mark.parametrize("noun", ["table", "collection"])
def test_what_the_mode_needs_is_asked_for(noun: str, mode: str) -> None:
    rules = rules_of(noun)

    for key in issues(noun, mode=mode) - {"mode"}:
        assert mode in rules["needed"][key], f"{key} is needed in mode {mode}"
        assert mode in rules["modes"][key]


@pytest.mark.parametrize("mode", [mode.value for mode in Mode])
def test_what_the_mode_refuses_is_not_asked_for(mode: str) -> None:
    whole = {key: _SAMPLES[key] for key in ("primary_key", "primary_key_datatype", "bookmark")} | {"mode": mode}

    for key, value in _SAMPLES.items():
        if key in issues("table", **whole | {key: value}):
            assert mode not in MODES[key], f"{key} is refused in mode {mode}"


def test_every_key_of_the_rules_is_a_key_of_the_contract() -> None:
    known = {key for model in SPECS.values() for key in model.model_fields}

    assert {*MODES, *NEEDED, *DESTINATIONS, *BASICS, *LAGS} <= known
    assert set(MODE_WORDS) == {mode.value for mode in Mode}
    assert set(_MODELS) == {noun.value for noun in Noun} == {row.noun.value for row in SPEC_ROWS.values()}
