"""`manage.py openapi`: the API's document in docs/, as it is and as it was promised."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from migrations_app.api.compatibility import breaks
from migrations_app.api.openapi import openapi_document
from migrations_app.management.refusals import refusal

#: What this state of the code serves, and what callers may rely on: the document of the last release.
CURRENT, PROMISED = "openapi.json", "openapi.promised.json"


class Command(BaseCommand):
    """Write or check the document."""

    requires_system_checks = ()
    help = (
        "Write docs/openapi.json anew. With --check write nothing, and say what is stale or breaks what"
        " docs/openapi.promised.json promises. Exit codes: 0 fine, 2 stale or incompatible."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--check", action="store_true", help="write nothing; exit 2 when something is wrong")
        chosen.add_argument(
            "--promise",
            action="store_true",
            help="for a release: promise what is there now, when it keeps the last one",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        directory = Path(settings.BASE_DIR) / "docs"
        document = openapi_document()
        text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        current, promised = directory / CURRENT, directory / PROMISED
        broken = breaks(json.loads(promised.read_text()), document) if promised.exists() else []
        if broken and (options["check"] or options["promise"]):
            raise refusal([*broken, f"callers of {PROMISED} would break; keep what they use, and add beside it"])
        if options["check"]:
            if not current.exists() or current.read_text() != text:
                raise refusal([f"docs/{CURRENT} is stale; write it with `./run manage openapi`"])
            return
        (promised if options["promise"] else current).write_text(text)
