"""Host and port of a server as people write them: `host`, `host:port`, `[::1]:5432`, `postgresql://host:port/`."""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from connectors.mapping.env import is_reference

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9]+)?")
_SCHEMES = ("postgresql", "postgres", "redshift")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SERVER = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Address(NamedTuple):
    """A server's place; `port` is None when the text names none, `database` likewise."""

    host: str
    port: int | None
    database: str | None


def parse_address(text: str) -> Address:
    """Read a host, with or without a port.

    Raises:
        ValueError: a sentence that says what to write instead; it holds no part of the text.
    """
    scheme, separator, _ = text.partition("://")
    if separator and scheme.lower() not in _SCHEMES:
        message = "expected a host, host:port or postgresql://host:port/, and no other kind of address"
        raise ValueError(message)
    try:
        parts = urlsplit(text if separator else f"//{text}")
        port = parts.port
    except ValueError:
        message = "the port must be a number from 1 to 65535, as in db.example.com:5432"
        raise ValueError(message) from None
    _refuse_extras(parts)
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or port == 0:
        message = (
            "expected one host name or IP address, as in db.example.com or db.example.com:5432"
            " (no socket path, no list of hosts; an IPv6 address goes in brackets)"
        )
        raise ValueError(message)
    database = parts.path.strip("/") or None
    if database is not None and not separator:
        message = "expected a host without a path; the database goes in db_name"
        raise ValueError(message)
    return Address(host, port, database)


def servers_in_words(url: str) -> str:
    """The servers of an address that may hold a login and options, and neither of them: ``a.example:27017, b.example``.

    Returns:
        Empty for a reference, and for an address that cannot be read for sure, whose parts might be a password's.
    """
    text = url[scheme.end() :] if (scheme := _SCHEME.match(url)) else url
    authority = re.split(r"[/?#]", text, maxsplit=1)[0]
    # Behind these signs a login that is not escaped would go on.
    if is_reference(url) or "@" in text[len(authority) :]:
        return ""
    servers = authority.rpartition("@")[2].split(",")
    # A word by itself may be a password in the wrong field.
    is_place = scheme or "@" in authority or all("." in server or ":" in server for server in servers)
    return ", ".join(servers) if is_place and all(map(_SERVER.fullmatch, servers)) else ""


def _refuse_extras(parts: SplitResult) -> None:
    if parts.username is not None or parts.password is not None:
        message = "the address must not hold a username or password; put them in the keys username and password"
        raise ValueError(message)
    if parts.query or parts.fragment:
        message = "the address must not hold connection options; use the keys sslmode, certificate_file and port"
        raise ValueError(message)
