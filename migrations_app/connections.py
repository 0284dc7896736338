"""The servers that documents name, held against what the installation permits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from pydantic import BaseModel, SecretStr

from connectors import egress
from connectors import mapping as contract

#: Keys of sources, destinations, stores and Redis that hold an address, by the attribute's name.
_ADDRESS_KEYS = ("url", "primary_url", "host", "kafka_server", "endpoint_url")

#: A resolver that takes longer says nothing when a document is saved.
_WITHIN_S = 1.0
_CODE = "forbidden_server"

Loc = tuple[str | int, ...]


def policy() -> egress.Policy:
    """The policy of the settings."""
    forbidden = [*egress.ALWAYS_FORBIDDEN, *settings.DMS_FORBIDDEN_NETWORKS]
    forbidden += () if settings.DMS_ALLOW_LOOPBACK else egress.LOOPBACK
    return egress.Policy.of(forbidden, settings.DMS_ALLOWED_NETWORKS)


def forbidden(part: BaseModel, at: Loc = ()) -> list[contract.Issue]:
    """Find servers that the document, or a part of it, names and that may not be connected to.

    References say nothing yet, and names that nobody knows lead nowhere: both are looked at when a run connects.
    """
    hosts = {loc: egress.hosts_of(text) for loc, text in _addresses(part, at)}
    refused = egress.refusals([host for each in hosts.values() for host in each], within_s=_WITHIN_S)
    return [
        contract.Issue(loc, refused[host], _CODE) for loc, each in hosts.items() for host, _ in each if host in refused
    ]


def _addresses(part: BaseModel, at: Loc) -> Iterator[tuple[Loc, str]]:
    for name, field in type(part).model_fields.items():
        loc = (*at, field.alias or name)
        value = getattr(part, name)
        if name in _ADDRESS_KEYS and value:
            yield loc, value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        else:
            yield from _inner(value, loc)


def _inner(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, BaseModel):
        yield from _addresses(value, loc)
    elif isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, BaseModel):
                yield from _addresses(each, (*loc, key))
