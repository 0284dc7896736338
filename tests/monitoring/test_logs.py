"""Log lines carry the run that they belong to, from whatever thread, and no secret."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from controlplane.logs import JsonFormatter, TextFormatter
from migrations_app import runner, runs, secrets
from migrations_app.enums import RunState, TriggerKind
from migrations_app.plans import Plan
from tests.controlplane.builders import make_stream

logger = logging.getLogger("a.driver.of.somebody.else")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the service writes to standard error."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def parsed(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


@pytest.mark.django_db
def test_every_line_of_a_run_names_it_also_from_other_threads(lines: io.StringIO) -> None:
    stream = make_stream()
    run = runs.queue(stream, trigger=TriggerKind.CLI)

    def plan() -> Plan:
        thread = threading.Thread(target=lambda: logger.warning("a driver speaks"))
        thread.start()
        thread.join()
        raise RuntimeError

    logger.warning("before")
    assert runner.execute(run, plan).state == RunState.FAILED
    logger.warning("after")

    by_message = {line["message"]: line for line in parsed(lines)}
    for message in ("a driver speaks", "run failed unexpectedly"):
        line = by_message[message]
        assert (line["run_id"], line["stream"], line["mapping"]) == (str(run.pk), stream.unique_id, "shop")
    assert "run_id" not in by_message["before"]
    assert "run_id" not in by_message["after"]


def test_secrets_are_masked_in_messages_and_tracebacks(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_PASSWORD", "tr0ub4dor&3-of-the-source")
    assert secrets.lookup("SOURCE_PASSWORD") == "tr0ub4dor&3-of-the-source"
    sealed = secrets.seal("sealed-and-opened-again")
    secrets.unseal(sealed)

    try:
        raise ValueError("cannot sign in with tr0ub4dor&3-of-the-source")  # noqa: EM101 - as drivers do
    except ValueError:
        logger.exception("failed with %s and %s", "sealed-and-opened-again", django_settings.SECRET_KEY)
    logger.warning("dsn postgresql://u:p%40ss@h/db")

    said = lines.getvalue()
    for secret in ("tr0ub4dor", "sealed-and-opened-again", django_settings.SECRET_KEY, "p%40ss"):
        assert secret not in said
    first, _ = parsed(lines)
    assert "ValueError" in first["exception"]


def test_text_is_masked_too() -> None:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "url %s", ("mongodb://u:pass-word@h",), None)

    assert TextFormatter("%(levelname)s %(message)s").format(record) == "ERROR url mongodb://***@h"
