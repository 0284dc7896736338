"""Which versions are at work here, for whoever is asked for help."""

from __future__ import annotations

import platform
import tomllib
from functools import cache
from importlib import metadata

from django.conf import settings
from django.db import connection

#: What decides how values are read and written.
_PACKAGES = ("django", "django-q2", "pyarrow", "psycopg2-binary", "pymongo", "pymongoarrow", "boto3")


@cache
def versions() -> str:
    """This service's version, Python's, and those of the packages that matter."""
    own = _own()
    found = [f"service {own}"] if own else []
    found.append(f"python {platform.python_version()}")
    found += [f"{name} {version}" for name in _PACKAGES if (version := _version(name))]
    return ", ".join([*found, f"control database {connection.vendor}"])


def _own() -> str:
    """As pyproject.toml has it, which is not everywhere: the service is not installed as a package."""
    try:
        return str(tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, KeyError, ValueError):
        return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
