"""No answer and no line of the log holds a secret, whatever is asked and however wrong it is."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import pytest
from django.conf import settings as installation
from pytest_django import Settings

from controlplane.logs import JsonFormatter, TextFormatter
from migrations_app.api.openapi import openapi_document
from migrations_app.enums import RunState
from migrations_app.models import ApiToken, Heartbeat, Run, Stream
from tests.api.calling import BASE, Answer, Caller
from tests.controlplane.builders import make_run, raw_mapping, raw_settings

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

#: One for each place that holds a secret. None of them is a word that an answer might hold by chance.
SECRETS = {
    name: f"Planted-{number}-{name}/:@?#"
    for number, name in enumerate(
        (
            *("source", "destination", "lake_key", "lake_secret", "lake_token", "mongo", "redis_url", "redis", "kafka"),
            *("store", "slack", "environment", "webhook", "metrics", "mistyped", "api"),
        )
    )
}


def documents() -> dict[str, dict[str, Any]]:
    """Mappings with a secret at every key that takes one."""
    pg = raw_mapping()
    pg["source"] |= {"url": "192.0.2.1", "password": SECRETS["source"]}
    pg["destination"] = {
        "warehouse": pg["destination"]["warehouse"] | {"url": "192.0.2.2", "password": SECRETS["destination"]},
        "lake": {
            "destination_type": "s3",
            "s3_bucket_name": "lake",
            "endpoint_url": "http://192.0.2.3",
            "access_key_id": SECRETS["lake_key"],
            "secret_access_key": SECRETS["lake_secret"],
            "session_token": SECRETS["lake_token"],
        },
    }
    mongo = {
        "source": {"source_type": "mongo", "url": f"mongodb://u:{SECRETS['mongo']}@192.0.2.4", "db_name": "shop"},
        "destination": {},
        "collections": [
            {"collection_name": "c", "cron": "self-managed", "mode": "dumping"},
        ],
    }
    kafka = {
        "source": {
            "source_type": "kafka",
            "kafka_server": "192.0.2.5:9092",
            "db_name": "k",
            "kafka_username": "u",
            "kafka_password": SECRETS["kafka"],
            "consumer_group_id": "g",
        },
        "destination": {},
        "redis": {"url": f"redis://:{SECRETS['redis_url']}@192.0.2.6/0", "password": SECRETS["redis"]},
        "topics": [{"topic_name": "t", "cron": "self-managed"}],
    }
    api = {
        "source": {"source_type": "api", "db_name": "a", "password": SECRETS["api"], "token": SECRETS["api"]},
        "destination": {},
        "apis": [{"api_name": "x", "cron": "self-managed"}],
    }
    return {"shop": pg, "mongo": mongo, "kafka": kafka, "web": api}


def all_settings() -> dict[str, Any]:
    store = {"url": f"mongodb://u:{SECRETS['store']}@192.0.2.7", "db_name": "d", "collection_name": "c"}
    return raw_settings(
        encryption_store=store,
        dashboard_store=store,
        notify=True,
        slack_notif={"slack_token": SECRETS["slack"], "channel": "c"},
    )


class Searched:
    """A caller whose every answer is searched."""

    def __init__(self, api: Caller, forbidden: dict[str, str]) -> None:
        self._api = api
        self._forbidden = forbidden
        self.statuses: list[int] = []

    def send(self, method: str, path: str, body: Any = None, media_type: str = "application/json") -> Answer:
        answer = self._api.send(method, path, body, media_type=media_type)
        self.statuses.append(answer.status)
        # What is accepted was no secret at that place, such as the name of a database.
        accepted = {SECRETS["mistyped"]} if answer.status < 400 else set()
        self.search(answer.text + repr(answer.headers), f"{method} {path}", accepted)
        return answer

    def search(self, text: str, place: str, accepted: AbstractSet[str] = frozenset()) -> None:
        for name, secret in self._forbidden.items():
            assert secret in accepted or secret not in text, f"{place} shows {name}"


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every line of the log, as the service writes it."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.extend(formatter.format(record) for formatter in (TextFormatter(), JsonFormatter()))

    handler = Keeping()
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for noisy in ("django.db", "boto3", "botocore", "urllib3", "pymongo"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    yield lines
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def searched(api: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Searched:
    settings.DMS_OPTIONS = settings.DMS_OPTIONS | {"connect_timeout_s": 1}
    settings.DMS_FORBIDDEN_NETWORKS = ()
    settings.DMS_API_RATE = ""
    settings.DMS_WEBHOOK_SECRET, settings.DMS_METRICS_TOKEN = SECRETS["webhook"], SECRETS["metrics"]
    monkeypatch.setenv("SOURCE_PASSWORD", SECRETS["environment"])
    forbidden = SECRETS | {
        "key of a token": api.key,
        "digest of a token": ApiToken.objects.get().digest,
        "SECRET_KEY": installation.SECRET_KEY,
        **{f"DMS_SECRET_KEYS {i}": key for i, key in enumerate(installation.DMS_SECRET_KEYS)},
        "what is sealed": "sealed:",
    }
    return Searched(api, forbidden)


def mutilated(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with each of its values in turn made wrong, in ways that are tempting to quote."""
    for path in _paths(document):
        for wrong in (SECRETS["mistyped"], [SECRETS["mistyped"]], {"password": SECRETS["mistyped"]}):
            changed: Any = copy.deepcopy(document)
            part = changed
            for key in path[:-1]:
                part = part[key]
            part[path[-1]] = wrong
            yield changed


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield (*at, key)
        yield from _paths(each, (*at, key))


def test_no_answer_shows_a_secret(searched: Searched, logged: list[str]) -> None:
    for mapping_id, document in documents().items():
        assert searched.send("PUT", f"/mappings/{mapping_id}", document).status == 201
        searched.send(
            "PUT", f"/mappings/{mapping_id}?dry_run=true", document | {"source": documents()["shop"]["source"]}
        )
    searched.send("PUT", "/settings", all_settings())
    referring = documents()["shop"]
    referring["source"]["password"] = "env:SOURCE_PASSWORD"
    assert searched.send("PUT", "/mappings/refers", referring).status == 201
    assert searched.send("PUT", "/bundles/team", {"mappings": {"bundled": documents()["shop"]}}).status == 200
    Heartbeat.objects.create(name="worker:here", details={"slots": 4})
    run = make_run(Stream.objects.filter(mapping="shop").first(), state=RunState.FAILED)

    names = {"mapping_id": "shop", "bundle": "team", "run_id": str(run.pk), "trigger_id": str(run.trigger_id)}
    reason = {"reason": SECRETS["mistyped"]}
    bodies: dict[str, list[Any]] = {
        "put_mapping": [documents()["shop"]],
        "put_source": [documents()["shop"]["source"]],
        "put_destination": list(documents()["shop"]["destination"].values()),
        "put_settings": [all_settings()],
        "put_bundle": [{"mappings": documents()}],
        "preview_mapping": [{"table": "orders"}],
        "start_backfill": [{"table": "orders", "from_key": "1", "to_key": "2"}],
        "reset_checkpoints": [{"reason": "because"}, reason],
    }
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            if method == "delete":
                continue
            for name in ("shop", "shop:warehouse", "shop:lake", "mongo", "kafka", "refers"):
                address = path.removeprefix(BASE).format(**names | {"name": name, "mapping_id": name})
                usual: list[Any] = [{}] if method == "post" else [None]
                for body in bodies.get(operation["operationId"], usual):
                    searched.send(method.upper(), address, body)
    assert {200, 201, 202, 404, 422, 424} <= set(searched.statuses)
    searched.search("\n".join(logged), "the log")
    for run in Run.objects.all():
        searched.search(repr(run.__dict__), "a run")


def test_no_refusal_quotes_what_is_refused(searched: Searched, logged: list[str]) -> None:
    for mapping_id, document in documents().items():
        searched.send("PUT", f"/mappings/{mapping_id}", document)
        for wrong in mutilated(document):
            searched.send("PUT", f"/mappings/{mapping_id}?dry_run=true", wrong)
    for wrong in mutilated(all_settings()):
        searched.send("PUT", "/settings?dry_run=true", wrong)
    for part in ("source", "destination"):
        document = documents()["shop"][part]
        for wrong in mutilated(document["lake"] if part == "destination" else document):
            searched.send("PUT", f"/{part}s/x?dry_run=true", wrong)
    python = f"password = {SECRETS['mistyped']!r}\nmapping = f(password)".encode()
    searched.send("PUT", "/mappings/shop", python, "text/x-python")
    yaml = f"source: {{password: {SECRETS['mistyped']}: x".encode()
    searched.send("PUT", "/mappings/shop", yaml, "application/yaml")
    searched.send("PUT", "/mappings/shop", f'{{"a": "{SECRETS["mistyped"]}"'.encode())

    assert 422 in searched.statuses
    searched.search("\n".join(logged), "the log")
