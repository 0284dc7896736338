"""`manage.py worker`: this host's share of the work, until a signal ends it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django_q.conf import Conf

from migrations_app.enums import CheckTag
from migrations_app.supervisor import CLUSTERS, Supervisor


class Command(BaseCommand):
    """Be a worker."""

    requires_system_checks = (CheckTag.WORKER,)
    help = (
        "Schedule and execute runs on this host until SIGTERM or SIGINT. Any number of hosts may share one control"
        " database on PostgreSQL, each under a DMS_HOST of its own. What runs when it is to end stops at its last"
        " commit and goes on elsewhere."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--cluster", choices=CLUSTERS, help="one cluster alone and unsupervised, as the worker starts it itself"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        name = options["cluster"]
        if name is None:
            self.stdout.write(f"worker of host {settings.DMS_HOST}: {settings.DMS_RUN_WORKERS} runs at a time")
            Supervisor().serve()
            return
        if name != Conf.CLUSTER_NAME:
            # django-q2 reads the name when it is loaded.
            os.execve(sys.executable, sys.orig_argv, os.environ | {"Q_CLUSTER_NAME": name})
        # Loads every connector; the supervisor has no need of them.
        from migrations_app import cluster

        code = cluster.serve()
        if code:
            raise SystemExit(code)
