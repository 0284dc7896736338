"""Keys that a development installation makes for itself, kept in files that only its owner can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet


def secret_key_in(path: Path) -> str:
    """Return Django's secret key from the file, and make the file first where there is none."""
    return _read_or_make(path, lambda: secrets.token_urlsafe(50))


def fernet_keys_in(path: Path) -> list[str]:
    """Return the encryption keys from the file, one a line, and make the file first where there is none."""
    return _read_or_make(path, lambda: Fernet.generate_key().decode()).split()


def _read_or_make(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make() + "\n")
        try:
            # A link fails when the name is taken: of several first starts, one wins and all read its key.
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
