"""JSON Schema of the contract, for editors that complete and check mapping files while they are written."""

from typing import Any

from connectors.mapping.mapping import Mapping
from connectors.mapping.settings import ServiceSettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def mapping_json_schema() -> dict[str, Any]:
    """The schema of a mapping. Rules between fields are not in it: parse_mapping checks those."""
    return {"$schema": DIALECT, **Mapping.model_json_schema(by_alias=True)}


def settings_json_schema() -> dict[str, Any]:
    """The schema of the settings."""
    return {"$schema": DIALECT, **ServiceSettings.model_json_schema(by_alias=True)}
