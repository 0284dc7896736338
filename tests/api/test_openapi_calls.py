"""Whatever is sent, the answer is one that the OpenAPI document names, and none is a failure of the service."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from pytest_django import Settings
from schemathesis.checks import CHECKS, load_all_checks

from migrations_app import mapping_io, settings_io, tokens
from migrations_app.api.openapi import openapi_document
from migrations_app.enums import RunState, Scope
from migrations_app.models import Checkpoint, Mapping, Run, Stream
from tests.controlplane.builders import make_run, raw_mapping, raw_settings

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

load_all_checks()
_CHECKS = CHECKS.get_by_names(
    ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
#: What exists, for path parameters that are to lead somewhere.
_RUN_ID = "11111111-1111-4111-8111-111111111111"
_NAMES = {
    "mapping_id": "shop",
    "bundle": "jobs",
    "run_id": _RUN_ID,
    "trigger_id": _RUN_ID,
}
_RIGHT = {
    "put_mapping": raw_mapping(),
    "put_source": raw_mapping()["source"],
    "put_destination": raw_mapping()["destination"]["warehouse"],
    "put_settings": raw_settings(),
    "put_bundle": {"mappings": {"shop": raw_mapping()}},
    "start_runs": {"table": "orders"},
    "start_backfill": {"table": "orders", "from_key": "1", "to_key": "9"},
    "reset_checkpoints": {"reason": "because"},
    "preview_mapping": {"table": "orders"},
}
_EXAMPLES = hypothesis.settings(
    max_examples=12, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None, derandomize=True
)


def _document(app: Any) -> Any:
    document = schemathesis.openapi.from_dict(openapi_document())
    document.app = app
    return document


_SCHEMA = _document(get_wsgi_application())


@_SCHEMA.hook  # type: ignore[untyped-decorator]
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Let every second address lead to something."""
    if not isinstance(path_parameters, dict):
        return path_parameters
    known = _NAMES | {"name": "shop" if "sources" in context.operation.path else "shop:warehouse"}
    return {
        name: known[name] if name in known and len(str(value)) % 2 else value for name, value in path_parameters.items()
    }


@_SCHEMA.hook  # type: ignore[untyped-decorator]
def map_body(context: Any, body: Any) -> Any:
    """Let many documents be right but for one key: what is wrong everywhere is refused before anything is done."""
    right = _RIGHT.get(context.operation.definition.raw.get("operationId"))
    number = len(str(body))
    if right is None or number % 3 == 0 or isinstance(body, bytes):
        return body
    document = copy.deepcopy(right)
    if number % 3 == 1:
        part = document["tables"][0] if "tables" in document else document
        part[list(part)[number % len(part)]] = body
    return document


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """Keep the connection between requests: it holds the test's transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def key(settings: Settings) -> str:
    """A token for everything, in an installation that connects to nobody."""
    settings.DMS_FORBIDDEN_NETWORKS = ("0.0.0.0/0", "::/0")
    settings.DMS_API_RATE = ""
    settings.ALLOWED_HOSTS = ["*"]
    cache.clear()
    settings_io.save_settings(settings_io.parse_settings(raw_settings(timezone="UTC")))
    return tokens.create("schemathesis", tuple(Scope))[1]


def _make_what_is_asked_for() -> None:
    if not Mapping.objects.filter(pk="shop", bundle="jobs").exists():
        mapping_io.save_mapping("shop", mapping_io.parse(raw_mapping()))
        Mapping.objects.filter(pk="shop").update(bundle="jobs")
    stream = Stream.objects.filter(mapping="shop").first()
    assert stream is not None
    Checkpoint.objects.get_or_create(stream=stream, defaults={"position": {"phase": "follow"}, "epoch": 1})
    if not Run.objects.filter(pk=_RUN_ID).exists():
        make_run(stream, pk=_RUN_ID, trigger_id=_RUN_ID, state=RunState.FAILED)
    Run.objects.exclude(pk=_RUN_ID).delete()


@_SCHEMA.parametrize()  # type: ignore[untyped-decorator]
@_EXAMPLES
def test_caller_with_a_token_gets_documented_answers(case: Any, key: str) -> None:
    _make_what_is_asked_for()
    # A wait is a wait; the tests of runs look at it.
    if isinstance(case.query, dict) and "wait" in case.query:
        case.query["wait"] = 0
    case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=_CHECKS)


@_SCHEMA.parametrize()  # type: ignore[untyped-decorator]
@hypothesis.settings(_EXAMPLES, max_examples=3)
def test_stranger_gets_documented_answers(case: Any, key: str) -> None:
    response = case.call_and_validate(checks=_CHECKS)
    assert response.status_code in {400, 401, 404, 405, 413}, response.status_code
