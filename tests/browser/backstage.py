"""A process beside the browser's that has Django: it does with the models what a test asks for.

A test cannot, since Playwright keeps an event loop running in its thread, and since its own database is another one.
A line on the standard input is `{"call": "module:function", "arguments": [...]}`; the answer is a line of JSON:
`{"value": ...}`, or `{"error": TRACEBACK}`. What functions print goes to the standard error.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from importlib import import_module
from typing import Any

import django
from django.db import connections


def main() -> None:
    """Serve until the standard input ends."""
    answers = sys.stdout
    django.setup()
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            answer = _answer(json.loads(line))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["call"].partition(":")
    try:
        return {"value": getattr(import_module(module), name)(*request["arguments"])}
    except Exception:  # noqa: BLE001 - the test that asked shows it
        return {"error": traceback.format_exc()}
    finally:
        connections.close_all()


if __name__ == "__main__":
    main()
