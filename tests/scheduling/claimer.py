"""A process that claims runs as a worker does, and prints which: `python -m tests.scheduling.claimer`."""

from __future__ import annotations

import os
import sys

import django


def main() -> None:
    """Wait for a line, so that several begin together; then claim until nothing is left."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
    django.setup()
    from django.conf import settings

    from migrations_app import dispatch

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    while (run := dispatch.claim_next(settings.DMS_HOST)) is not None:
        sys.stdout.write(f"{run.pk}\n")


if __name__ == "__main__":
    main()
