"""Parts of the document as rows keep them: what is secret apart from what is not, and sealed."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from typing import Any

from pydantic import BaseModel

from connectors import mapping as contract
from connectors.mapping.masks import PLACE_KEYS
from connectors.mapping.sketch import secret_keys as secret_keys
from migrations_app import secrets
from migrations_app.models import Destination, Mapping, Source


def split(part: BaseModel) -> tuple[dict[str, Any], dict[str, str]]:
    """Write a contract model as its documented dictionary, what may be shown apart from what is secret."""
    raw = contract.to_dict(part, reveal=True)
    hidden = secret_keys(type(part))
    shown = {key: value for key, value in raw.items() if key not in hidden}
    return shown, {key: value for key, value in raw.items() if key in hidden}


def fill_endpoint(row: Source | Destination, part: BaseModel) -> None:
    """Take a source or destination of the contract over into its row, which is then untested. Saves nothing."""
    shown, hidden = split(part)
    row.config = {key: value for key, value in shown.items() if key not in _TYPE_KEYS}
    row.secrets = secrets.seal_all(hidden)
    row.last_test = None


def source_raw(row: Source) -> dict[str, Any]:
    """Return the source as the document writes it, secrets in the clear."""
    return {"source_type": row.source_type, **row.config, **secrets.unseal_all(row.secrets)}


def destination_raw(row: Destination) -> dict[str, Any]:
    """Return the destination as the document writes it, secrets in the clear."""
    return {"destination_type": row.destination_type, **row.config, **secrets.unseal_all(row.secrets)}


def mapping_extras_raw(row: Mapping) -> dict[str, Any]:
    """Return the keys of a mapping that belong to Kafka, where they are given; secrets in the clear."""
    raw: dict[str, Any] = {}
    if row.redis is not None:
        opened = secrets.unseal_all(row.secrets)
        raw["redis"] = row.redis | {key.removeprefix("redis."): value for key, value in opened.items()}
    if row.get_table_name:
        raw["get_table_name"] = row.get_table_name
    if row.process_dict:
        raw["process_dict"] = row.process_dict
    return raw


def is_same_place(stored: AnyMapping[str, Any], shown: AnyMapping[str, Any], given: AnyMapping[str, Any]) -> bool:
    """Tell whether an edited source or destination still sends its secrets to the same place, as safely.

    Args:
        stored: What the row shows.
        shown: What was entered and is no secret.
        given: Secrets that were entered: an address may be one.
    """
    return not any(stored.get(key) != shown.get(key) or key in given for key in PLACE_KEYS if key not in _TYPE_KEYS)


_TYPE_KEYS = frozenset({"source_type", "destination_type"})
