"""What is exported reads back as the same thing, for every key of the contract and in every format."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as limits

from connectors.mapping import (
    Mapping,
    ServiceSettings,
    dump_json,
    dump_python,
    dump_yaml,
    parse_mapping,
    parse_settings,
    references_of,
    resolve,
    to_dict,
)
from connectors.mapping.files import load_text
from connectors.mapping.schema import mapping_json_schema, settings_json_schema
from tests.mapping.samples import SETTINGS, make_mapping
from tests.mapping.strategies import Raw, mappings, parts, settings

Dump = Callable[[Mapping | ServiceSettings], str]
FORMATS: dict[str, Any] = {"file.py": dump_python, "file.json": dump_json, "file.yaml": dump_yaml}

thorough = limits(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(raw=mappings())
def test_an_exported_mapping_reads_back_equal_in_every_format(raw: Raw) -> None:
    mapping = parse_mapping(raw)
    for name, dump in FORMATS.items():
        loaded = load_text(dump(mapping), name)
        assert loaded.warnings == ()
        assert parse_mapping(loaded.data) == mapping


@thorough
@given(raw=settings)
def test_exported_settings_read_back_equal_in_every_format(raw: Raw) -> None:
    parsed = parse_settings(raw)
    for name, dump in FORMATS.items():
        assert parse_settings(load_text(dump(parsed), name, "settings").data) == parsed


@thorough
@given(raw=mappings())
def test_export_gives_back_the_imported_mapping_up_to_defaults(raw: Raw) -> None:
    mapping = parse_mapping(raw)
    assert to_dict(mapping) == raw
    assert to_dict(parse_mapping(_with_defaults(mapping))) == raw


@thorough
@given(raw=settings)
def test_export_gives_back_the_imported_settings_up_to_defaults(raw: Raw) -> None:
    parsed = parse_settings(raw)
    assert to_dict(parsed) == raw
    assert to_dict(parse_settings(_with_defaults(parsed))) == raw


def test_the_round_trips_cover_every_key_of_the_contract() -> None:
    used: set[str] = set()

    for part in parts:

        @limits(thorough, max_examples=60, derandomize=True, database=None)
        @given(raw=part)
        def collect(raw: Raw) -> None:
            used.update(_keys_in(raw))

        collect()
    schemas = [mapping_json_schema(), settings_json_schema()]
    documented = {
        key for schema in schemas for part in (schema, *schema["$defs"].values()) for key in part.get("properties", ())
    }
    assert documented - used == set()


@thorough
@given(raw=mappings())
def test_resolving_leaves_no_reference_and_changes_nothing_else(raw: Raw) -> None:
    mapping = parse_mapping(raw)
    resolved = resolve(mapping, lambda name: f"v{name.lower().replace('_', '-')}x")
    assert references_of(resolved) == {}
    assert resolved.specs == mapping.specs
    assert set(resolved.destination) == set(mapping.destination)


def test_a_default_is_left_out_and_required_keys_come_first() -> None:
    raw = make_mapping(batch_size=10000, partition_col=False, strict=False)
    exported = to_dict(parse_mapping(raw))["tables"][0]
    assert list(exported) == ["table_name", "cron", "mode", "bookmark", "primary_key", "primary_key_datatype"]


def test_a_python_export_reads_variables_from_the_environment() -> None:
    raw = make_mapping()
    raw["destination"]["main"]["username"] = "env:LOADER:-etl"
    text = dump_python(parse_mapping(raw))
    assert text.startswith("import os\n\nmapping = {\n")
    assert "'password': os.getenv('WAREHOUSE_PASSWORD')," in text
    assert "'username': os.getenv('LOADER', 'etl')," in text


def test_a_python_export_writes_the_cut_off_time_as_a_time() -> None:
    text = dump_python(parse_settings({**SETTINGS, "cut_off_time": "22:30:00"}))
    assert text.startswith("import datetime\n\nsettings = {\n")
    assert "'cut_off_time': datetime.time(22, 30)," in text


def _keys_in(part: Any) -> set[str]:
    """Every key of a document, at any depth."""
    if isinstance(part, list):
        return {key for each in part for key in _keys_in(each)}
    if isinstance(part, dict):
        return set(part) | {key for each in part.values() for key in _keys_in(each)}
    return set()


def _with_defaults(part: Any) -> Any:
    """The documented dictionary with every key in it."""
    if isinstance(part, dict):
        return {key: _with_defaults(value) for key, value in part.items()}
    if isinstance(part, tuple):
        return [_with_defaults(value) for value in part]
    if not hasattr(part, "model_fields_set"):
        return part.get_secret_value() if hasattr(part, "get_secret_value") else part
    fields = type(part).model_fields
    return {field.alias or name: _with_defaults(getattr(part, name)) for name, field in fields.items()}
