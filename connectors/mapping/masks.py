"""Putting stored secrets back where an edited document still shows their masks."""

import copy
from typing import Any

from pydantic import BaseModel

from connectors.mapping.export import to_dict
from connectors.mapping.fields import MASK

PLACE_KEYS = (
    "url",
    "port",
    "primary_url",
    "host",
    "kafka_server",
    "endpoint_url",
    "sslmode",
    "certificate_file",
    "security_protocol",
    "source_type",
    "destination_type",
)
"""Keys that say where a secret is sent, and how safely: when one changes, the secret must be given again."""


def keep_secrets(raw: dict[str, Any], stored: BaseModel) -> dict[str, Any]:
    """Replace masks in an edited document by the secrets that are stored.

    A secret is kept only when the part it belongs to still points to the same place; else the mask stays, and
    parsing says that the secret must be written again. Otherwise anybody who may edit an address could have a
    secret sent to a server of their own.

    Args:
        raw: the edited document, as to_dict showed it before; it is not changed.
        stored: the document as it was, or a part of one.

    Returns:
        A copy of the document, ready for parse_mapping or parse_settings. It holds secrets in the clear.
    """
    result = copy.deepcopy(raw)
    _keep(result, to_dict(stored), to_dict(stored, reveal=True))
    return result


def _keep(edited: Any, shown: Any, revealed: Any) -> None:
    if not (isinstance(edited, dict) and isinstance(shown, dict)):
        return
    same_place = all(edited.get(key) == shown.get(key) for key in PLACE_KEYS)
    for key, value in edited.items():
        if isinstance(value, str) and MASK in value and same_place and value == shown.get(key):
            edited[key] = revealed[key]
        else:
            _keep(value, shown.get(key), revealed.get(key))
