"""`manage.py drain`: empty a host before it is deployed to or taken away."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from migrations_app import audit, hosts
from migrations_app.management.selecting import ExitCode
from migrations_app.models import Drain

_POLL_S = 0.5
_EMPTY_LOOKS = 3


class Command(BaseCommand):
    """Drain a host."""

    requires_system_checks = ()
    help = (
        "Let a host's worker take no new runs, stop those that it has at their last commit, and wait until it has none."
        " They go on, on another host, or when the worker starts again. Exit codes: 0 empty, 1 not empty in time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.DMS_HOST, help="as DMS_HOST calls it (default: %(default)s)")
        parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="how long to wait (%(default)s)")
        parser.add_argument("--undo", action="store_true", help="let the host take runs again")

    def handle(self, *_args: Any, **options: Any) -> None:
        host = options["host"]
        if options["undo"]:
            with transaction.atomic():
                was = hosts.undrain(host)
                self._record("undrain", host)
            self.stdout.write(f"host {host} takes runs again" if was else f"host {host} was not being drained")
            return
        with transaction.atomic():
            hosts.drain(host)
            self._record("drain", host)
        until = time.monotonic() + options["timeout"]
        # Looked at twice: a run may have been claimed at the moment of the first look.
        empty = 0
        while empty < _EMPTY_LOOKS:
            left = hosts.running_on([host]).get(host, 0)
            empty = 0 if left else empty + 1
            if left and time.monotonic() >= until:
                message = (
                    f"host {host} still has {left} runs after {options['timeout']:.0f} s; they are killed after"
                    f" DMS_STOP_GRACE_S, wait on with a greater --timeout"
                )
                raise CommandError(message, returncode=ExitCode.FAILED)
            time.sleep(_POLL_S)
        self.stdout.write(f"host {host} is empty and takes no runs until its worker starts again, or drain --undo")

    def _record(self, action: str, host: str) -> None:
        audit.record(audit.actor_of_command(), action, Drain(host=host))
