"""Which servers may be connected to: one guard for saving, testing and running, after names have become addresses.

A mapping is written by people who need not be trusted with the network of the service. Without the guard they could
have it connect to itself, or to the address at which clouds give away the machine's credentials.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from connectors.mapping.address import parse_address
from connectors.mapping.env import is_reference

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK = ("127.0.0.0/8", "::1/128")
#: Link-local, where clouds keep metadata, with the metadata addresses that lie elsewhere; then what is no server.
ALWAYS_FORBIDDEN = (
    "169.254.0.0/16",
    "fe80::/10",
    "fd00:ec2::/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "0.0.0.0/8",
    "::/128",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "ff00::/8",
)
#: Addresses of IPv6 that stand for one of IPv4, in their last 32 bits.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


class ConnectionForbidden(Exception):
    """The server lies where this installation does not connect to; the message says which setting allows it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Where connections may go.

    Attributes:
        forbidden: Networks that are refused.
        allowed: Networks that are not, though a forbidden one holds them.
    """

    forbidden: tuple[IpNetwork, ...] = ()
    allowed: tuple[IpNetwork, ...] = ()

    @classmethod
    def of(cls, forbidden: Iterable[str], allowed: Iterable[str]) -> Policy:
        """The policy of networks in CIDR.

        Raises:
            ValueError: A text is no network.
        """
        return cls(
            tuple(ipaddress.ip_network(text) for text in forbidden),
            tuple(ipaddress.ip_network(text) for text in allowed),
        )

    def forbids(self, address: IpAddress) -> bool:
        """Whether connections to this address are refused, in whichever form it is written."""
        forms = _forms(address)
        if any(form in network for form in forms for network in self.allowed):
            return False
        return any(form in network for form in forms for network in self.forbidden)


def _no_policy() -> Policy:
    return Policy()


_policy: Callable[[], Policy] = _no_policy


def govern(policy: Callable[[], Policy]) -> None:
    """Let this policy decide from now on, for the whole process. Until then everything is allowed."""
    global _policy  # noqa: PLW0603 - one process, one policy, whichever connector connects
    _policy = policy


def permitted_addresses(host: str, port: int | None) -> list[str]:
    """The addresses of a server, each one permitted; connect to these, since the name may mean others next time.

    Returns:
        The addresses in the order of the resolver; empty when the name is unknown, which connecting then tells.

    Raises:
        ConnectionForbidden: One of its addresses is forbidden.
    """
    addresses = _resolve(host, port)
    if _is_forbidden(addresses):
        raise ConnectionForbidden(_refusal(host))
    return addresses


def refusals(hosts: Iterable[tuple[str, int | None]], *, within_s: float) -> dict[str, str]:
    """Which of these servers are forbidden, as far as the resolver answers in time; connecting looks at all anew.

    Returns:
        A sentence by host.
    """
    found: dict[str, list[str]] = {}

    def look(host: str, port: int | None) -> None:
        found[host] = _resolve(host, port)

    # A resolver that does not answer holds its threads for longer than anybody waits here.
    threads = [threading.Thread(target=look, args=each, daemon=True) for each in dict(hosts).items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {host: _refusal(host) for host, addresses in dict(found).items() if _is_forbidden(addresses)}


def check(address: str) -> None:
    """Look at every server that an address names, in any of the forms that the contract takes.

    Raises:
        ConnectionForbidden: One of them is forbidden.
    """
    for host, port in hosts_of(address):
        permitted_addresses(host, port)


def hosts_of(text: str) -> list[tuple[str, int | None]]:
    """Hosts and ports of an address in any of the forms that the contract takes; none where it cannot be read."""
    if is_reference(text):
        return []
    try:
        if "://" not in text:
            return [(each.host, each.port) for each in map(parse_address, text.split(","))]
        netloc = urlsplit(text).netloc.rpartition("@")[2]
        # MongoDB's addresses may name several servers.
        parts = [urlsplit(f"//{server}") for server in netloc.split(",")]
        return [(part.hostname, part.port) for part in parts if part.hostname]
    except ValueError:
        return []


def _is_forbidden(addresses: Iterable[str]) -> bool:
    policy = _policy()
    return any(policy.forbids(ipaddress.ip_address(address.partition("%")[0])) for address in addresses)


def _refusal(host: str) -> str:
    return (
        f"{host} is at an address that this installation does not connect to; name another server, or have its network"
        " added to DMS_ALLOWED_NETWORKS"
    )


def _resolve(host: str, port: int | None) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _forms(address: IpAddress) -> list[IpAddress]:
    forms: list[IpAddress] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        forms += [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
        if address in _TRANSLATED:
            forms.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return forms
