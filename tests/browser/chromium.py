"""Where Chromium is, and how it is started here: no window, and no traffic of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: Names the program where it is not on the PATH.
VARIABLE = "DMS_TEST_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REMEDY = (
    f"the browser tests need Chromium: install it (Debian: apt-get install chromium), or name the program in {VARIABLE}"
)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def find() -> Path | None:
    """The program; None where there is none."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else None
