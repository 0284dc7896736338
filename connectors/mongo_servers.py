"""The servers behind a MongoDB address, held against what the installation permits."""

from __future__ import annotations

from pymongo.uri_parser import parse_uri

from connectors import egress

_SRV = "mongodb+srv://"
_PORT = 27017


def refuse_forbidden(url: str, timeout_s: float) -> None:
    """Refuse servers that this installation does not connect to; those behind a SRV record are looked up first.

    Args:
        url: With its scheme.
        timeout_s: For the look-up of the record.

    Raises:
        ConnectionForbidden: One of them is.
        PyMongoError: The address is none, or the record cannot be had.
    """
    egress.check(url)
    if url.startswith(_SRV):
        for host, port in parse_uri(url, connect_timeout=timeout_s)["nodelist"]:
            egress.permitted_addresses(host, port)


def servers_of(url: str, timeout_s: float) -> list[tuple[str, int]]:
    """Hosts and ports of an address; those behind a SRV record are looked up.

    Args:
        url: With its scheme.
        timeout_s: For the look-up of the record.

    Raises:
        PyMongoError: The address is none, or the record cannot be had.
    """
    return [(host, port or _PORT) for host, port in parse_uri(url, connect_timeout=timeout_s)["nodelist"]]
