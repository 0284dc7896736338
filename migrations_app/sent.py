"""Documents as they were sent: reading one gives back what was written, and not another form that means the same.

Whoever compares what is here with what a repository holds would else find differences that are none.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel

from connectors import mapping as contract

_JSON = (str, int, float, bool, type(None), dict, list)


def keep(raw: dict[str, Any], parsed: BaseModel) -> dict[str, Any]:
    """What a row keeps of the document it was made from; it holds no secret.

    Args:
        raw: The document as it was sent.
        parsed: What it says.
    """
    shown = contract.to_dict(parsed)
    return {"document": _masked(raw, shown, contract.to_dict(parsed, reveal=True)), "shown": plain(shown)}


def show(kept: dict[str, Any] | None, current: BaseModel) -> dict[str, Any]:
    """The document as it was sent, or as it is now when it has been changed since in another way; without secrets."""
    shown: dict[str, Any] = plain(contract.to_dict(current))
    if kept is not None and kept["shown"] == shown:
        document: dict[str, Any] = kept["document"]
        return document
    return shown


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def _masked(raw: Any, shown: Any, revealed: Any) -> Any:
    """The document with masks where the contract's own form has them."""
    if isinstance(raw, dict) and isinstance(shown, dict):
        return {key: _masked(value, shown.get(key), revealed.get(key)) for key, value in raw.items()}
    if isinstance(raw, list | tuple) and isinstance(shown, list) and len(raw) == len(shown):
        return [_masked(*each) for each in zip(raw, shown, revealed, strict=True)]
    if shown != revealed or not isinstance(raw, _JSON):
        # A secret, or what only a Python file can hold, such as a timedelta.
        return plain(shown)
    return raw
