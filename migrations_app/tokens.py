"""Tokens of the API: made once, kept as a digest, and looked up by what a request shows."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets as randomness
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from migrations_app.enums import SCOPE_SETS, Scope
from migrations_app.masking import remember
from migrations_app.models import ApiToken

#: Every key begins with it, so that scanners of repositories can find one that was committed.
BEGINNING = "dms_"
_PREFIX_LENGTH = len(BEGINNING) + 8
_RANDOM_BYTES = 32
#: The time of the last use is written no more often than this.
_USE_STEP = timedelta(minutes=1)


class TokenRefused(Exception):
    """The key opens nothing; the message says why, unless that would tell a stranger something."""


def create(
    name: str,
    scopes: Iterable[Scope],
    *,
    networks: Iterable[str] = (),
    expires_at: datetime | None = None,
    created_by: str = "",
) -> tuple[ApiToken, str]:
    """Make a token; the row, and the key, which nobody can get again.

    Args:
        name: Who will use it.
        scopes: What it may do.
        networks: From where, as CIDR; empty for anywhere.
        expires_at: None for never.
        created_by: The user who makes it.
    """
    key = f"{BEGINNING}{randomness.token_urlsafe(_RANDOM_BYTES)}"
    row = ApiToken.objects.create(
        name=name,
        prefix=key[:_PREFIX_LENGTH],
        digest=_digest(key),
        scopes=sorted(set(scopes)),
        networks=list(networks),
        expires_at=expires_at,
        created_by=created_by,
    )
    remember(key)
    return row, key


def verify(key: str, address: str) -> ApiToken:
    """The token that a key belongs to, which counts as used.

    Args:
        key: As the request shows it.
        address: Of the sender.

    Raises:
        TokenRefused: There is no such key, it has expired, or it may not be used from there.
    """
    found = ApiToken.objects.filter(prefix=key[:_PREFIX_LENGTH]).first() if "\0" not in key else None
    # Compared in constant time, so that the time of the answer tells nothing of the digest.
    if found is None or not hmac.compare_digest(found.digest, _digest(key)):
        message = "the token is not known here; make one with `manage.py create_token`"
        raise TokenRefused(message)
    # Not the keys that strangers make up: there is no end of them.
    remember(key)
    now = timezone.now()
    if found.expires_at is not None and found.expires_at <= now:
        message = f"the token {found.name} has expired; make a new one with `manage.py create_token`"
        raise TokenRefused(message)
    if found.networks and not _is_within(address, found.networks):
        message = f"the token {found.name} may not be used from this address; it is bound to other networks"
        raise TokenRefused(message)
    not_lately = Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_STEP)
    if found.last_used_at is None or found.last_used_at < now - _USE_STEP:
        ApiToken.objects.filter(not_lately, pk=found.pk).update(last_used_at=now)
    return found


def read_scopes(words: Iterable[str]) -> list[Scope]:
    """Scopes by their own names or by those of sets: ``ci``, ``read``, ``all``.

    Raises:
        ValueError: A word is neither.
    """
    scopes: list[Scope] = []
    for word in words:
        if word in SCOPE_SETS:
            scopes += SCOPE_SETS[word]
        elif word in list(Scope):
            scopes.append(Scope(word))
        else:
            known = ", ".join([*SCOPE_SETS, *Scope])
            message = f"{word} is no scope; there are {known}"
            raise ValueError(message)
    return sorted(set(scopes))


def read_networks(texts: Iterable[str]) -> list[str]:
    """Networks in CIDR, in their usual form.

    Raises:
        ValueError: One is none.
    """
    networks = []
    for text in texts:
        try:
            networks.append(str(ipaddress.ip_network(text)))
        except ValueError:
            message = f"{text} is no network; write it as 10.1.0.0/16, or one address as 10.1.2.3"
            raise ValueError(message) from None
    return networks


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def _is_within(address: str, networks: Iterable[str]) -> bool:
    try:
        sender = ipaddress.ip_address(address)
    except ValueError:
        # Behind a socket, or a proxy that says nothing: nobody knows where it comes from.
        return False
    mapped = getattr(sender, "ipv4_mapped", None)
    return any((mapped or sender) in ipaddress.ip_network(network) for network in networks)
