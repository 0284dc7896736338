"""Secrets at rest: sealed with one of several keys, or kept as a reference to an environment variable.

A sealed text reads ``sealed:{key id}:{token}``. Nothing unseals by itself: models hold sealed texts, so that
a repr, a serializer or an admin page of a row cannot show a secret. `Endpoint.servers` alone opens an address, and
tells no more of it than its hosts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from connectors.mapping import ReferenceRefused
from migrations_app.masking import remember

REFERENCE_PREFIX = "env:"
_SEAL = "sealed:"
_ID_LENGTH = 8
#: Parts of the names of variables that hold secrets, as opposed to host names and the like.
_SECRET_PARTS = ("PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "URL", "URI", "DSN")


class SecretKeysError(ValueError):
    """DMS_SECRET_KEYS is empty or holds something that is no Fernet key."""


class SecretUnreadableError(ValueError):
    """A stored secret was sealed with a key that is no longer in DMS_SECRET_KEYS, or was damaged."""


@dataclass(frozen=True)
class KeyRing:
    """The keys in use. The first seals, all unseal."""

    ids: tuple[str, ...]
    fernet: MultiFernet

    @property
    def current_id(self) -> str:
        """Id of the key that seals."""
        return self.ids[0]


def key_ring() -> KeyRing:
    """Return the keys of DMS_SECRET_KEYS.

    Raises:
        SecretKeysError: As it says.
    """
    keys: list[str] = [key.strip() for key in settings.DMS_SECRET_KEYS if key.strip()]
    if not keys:
        msg = "DMS_SECRET_KEYS is empty; give at least one Fernet key"
        raise SecretKeysError(msg)
    try:
        fernets = [Fernet(key) for key in keys]
    except ValueError:
        # The cause is left out: it can quote the key.
        msg = "DMS_SECRET_KEYS holds something that is no Fernet key (32 bytes in URL-safe base64)"
        raise SecretKeysError(msg) from None
    return KeyRing(tuple(_key_id(key) for key in keys), MultiFernet(fernets))


def lookup(name: str) -> str | None:
    """Return the value of an environment variable that a mapping names; None when it is not set.

    Raises:
        ReferenceRefused: Mappings may not name this variable.
    """
    check_allowed(name)
    value: str | None = settings.DMS_ENV_READ(name)
    if value is not None and any(part in name.upper() for part in _SECRET_PARTS):
        remember(value)
    return value


def check_allowed(name: str) -> None:
    """Refuse names that mappings may not use.

    Raises:
        ReferenceRefused: As it says.
    """
    prefixes: tuple[str, ...] = settings.DMS_ENV_PREFIXES
    if not settings.DMS_ENV_IS_ALLOWED(name, prefixes):
        msg = (
            f"names must begin with {', '.join(prefixes)} and must not be those of the service itself; "
            "rename the variable, or add its beginning to DMS_ENV_PREFIXES"
        )
        raise ReferenceRefused(msg)


def is_reference(text: str) -> bool:
    """Tell whether the text names an environment variable in place of a secret."""
    return text.startswith(REFERENCE_PREFIX)


def seal(plain: str) -> str:
    """Return the form in which a secret is stored. References stay as they are, and so does an empty text."""
    if not plain or is_reference(plain):
        return plain
    ring = key_ring()
    return f"{_SEAL}{ring.current_id}:{ring.fernet.encrypt(plain.encode()).decode()}"


def unseal(stored: str) -> str:
    """Return the secret, or the reference when that is what is stored.

    Raises:
        SecretUnreadableError: As it says.
    """
    if not stored.startswith(_SEAL):
        return stored
    key_id, _, token = stored.removeprefix(_SEAL).partition(":")
    try:
        plain = key_ring().fernet.decrypt(token.encode()).decode()
    except InvalidToken:
        msg = (
            f"a stored secret was sealed with key {key_id}, which DMS_SECRET_KEYS does not hold; "
            "add that key again, or enter the secret anew"
        )
        raise SecretUnreadableError(msg) from None
    remember(plain)
    return plain


def seal_all(secrets: Mapping[str, str]) -> dict[str, str]:
    """Seal each value."""
    return {path: seal(plain) for path, plain in secrets.items()}


def unseal_all(secrets: Mapping[str, str]) -> dict[str, str]:
    """Unseal each value."""
    return {path: unseal(stored) for path, stored in secrets.items()}


def rotated(secrets: Mapping[str, str]) -> dict[str, str]:
    """Seal anew with the current key whatever an older key has sealed.

    Raises:
        SecretUnreadableError: A value cannot be read; nothing was changed.
    """
    current = f"{_SEAL}{key_ring().current_id}:"
    return {
        path: seal(unseal(stored)) if stored.startswith(_SEAL) and not stored.startswith(current) else stored
        for path, stored in secrets.items()
    }


def count_by_key(rows: Iterable[Mapping[str, str]]) -> Counter[str]:
    """Number of sealed values by the id of their key."""
    return Counter(
        stored.removeprefix(_SEAL).partition(":")[0]
        for row in rows
        for stored in row.values()
        if stored.startswith(_SEAL)
    )


def _key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_ID_LENGTH]
