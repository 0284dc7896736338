"""Every mapping and every settings document of the contract comes out of the control database as it went in."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import override_settings
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from connectors.mapping import MappingError, parse_mapping, parse_settings, to_dict
from migrations_app import mapping_io, settings_io
from migrations_app.mapping_io import Outcome
from migrations_app.models import Mapping
from migrations_app.models.fields import NamesFormField
from tests.mapping.strategies import Raw, mappings, settings

many = limits(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
every_name_allowed = override_settings(DMS_ENV_IS_ALLOWED=lambda *_: True)


@pytest.mark.django_db
@every_name_allowed
@many
@given(raw=mappings())
def test_any_mapping_is_loaded_as_it_was_saved_whatever_was_there_before(raw: Raw) -> None:
    new = parse_mapping(raw)
    try:
        mapping_io.save_mapping("shop", new)
    except MappingError as error:
        assume("rename this destination" not in str(error))
        raise

    stored = mapping_io.load_contract(Mapping.objects.get(pk="shop"))

    assert stored == new
    assert to_dict(stored) == to_dict(new)
    assert mapping_io.compare("shop", new) is Outcome.UNCHANGED


@pytest.mark.django_db
@every_name_allowed
@many
@given(raw=settings)
def test_any_settings_are_loaded_as_they_were_saved(raw: Raw) -> None:
    new = parse_settings(raw)

    settings_io.save_settings(new)

    assert settings_io.load_settings() == new
    assert settings_io.compare_settings(new) is Outcome.UNCHANGED


#: Nearly all of what a name may consist of, so that few are thrown away below.
_names = st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=" "), min_size=1)


@given(st.none() | st.just(False) | _names | st.lists(_names))
def test_form_shows_names_so_that_it_reads_them_again(value: Any) -> None:
    def stripped(each: Any) -> Any:
        return each.strip("\x00 \t\r\n") if isinstance(each, str) else each

    names = value if isinstance(value, list) else [value]
    assume(all(stripped(each) == each and str(each).isprintable() and each != "" for each in names))
    field = NamesFormField(required=False)

    assert field.to_python(field.prepare_value(value)) == value
    assert not field.has_changed(value, field.prepare_value(value))


@pytest.mark.parametrize("text", ["[1]", '["a"', '"a', "[null]"])
def test_form_refuses_broken_json(text: str) -> None:
    with pytest.raises(ValidationError, match="names in JSON"):
        NamesFormField(required=False).to_python(text)
