"""Secrets and references: what is shown, what is kept, and what a reference becomes when a run starts."""

import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mapping import (
    MASK,
    MappingError,
    MongoSource,
    PgsqlDestination,
    ReferenceRefused,
    dump_json,
    dump_python,
    dump_yaml,
    parse_mapping,
    parse_settings,
    references_of,
    resolve,
    to_dict,
)
from connectors.mapping.address import servers_in_words
from connectors.mapping.masks import keep_secrets
from tests.mapping.samples import (
    S3_DESTINATION,
    SETTINGS,
    issues_of,
    make_mapping,
    settings_issues_of,
)

SECRET = "hunter2-correct-horse"
NOTHING: dict[str, str] = {}


def mapping_with_secrets() -> dict[str, Any]:
    """A mapping in which every kind of secret is written out."""
    raw = make_mapping("mongo")
    raw["source"] |= {"url": f"mongodb://admin:{SECRET}@db:27017/?key={SECRET}", "password": SECRET}
    raw["destination"]["main"]["password"] = SECRET
    keys = {"access_key_id": SECRET, "secret_access_key": SECRET, "session_token": SECRET}
    raw["destination"]["lake"] = S3_DESTINATION | keys
    return raw


def test_secrets_are_in_no_text_of_a_mapping() -> None:
    mapping = parse_mapping(mapping_with_secrets())
    shown = [repr(mapping), str(mapping), dump_python(mapping), dump_json(mapping), dump_yaml(mapping)]
    assert not [text for text in shown if SECRET in text]


def test_secrets_are_in_no_text_of_settings() -> None:
    raw = SETTINGS | {"slack_notif": {"slack_token": SECRET, "channel": "ops"}}
    raw["encryption_store"] = {**SETTINGS["encryption_store"], "url": f"mongodb://u:{SECRET}@db"}
    settings = parse_settings(raw)
    assert not [text for text in (repr(settings), dump_python(settings), dump_json(settings)) if SECRET in text]


def test_an_export_masks_secrets_and_keeps_what_is_none() -> None:
    exported = to_dict(parse_mapping(mapping_with_secrets()))
    assert exported["source"]["password"] == MASK
    assert exported["source"]["url"] == f"mongodb://{MASK}@db:27017/?{MASK}"
    assert exported["destination"]["lake"]["secret_access_key"] == MASK
    plain = to_dict(parse_mapping(make_mapping("mongo")))
    assert plain["source"]["url"] == "mongodb://db.example.com"


def test_revealed_secrets_read_back_equal() -> None:
    mapping = parse_mapping(mapping_with_secrets())
    assert parse_mapping(to_dict(mapping, reveal=True)) == mapping


def test_an_error_shows_no_secret_even_in_its_traceback() -> None:
    raw = mapping_with_secrets()
    raw["source"]["batch"] = SECRET
    raw["collections"][0]["mode"] = SECRET
    with pytest.raises(MappingError) as caught:
        parse_mapping(raw)
    lines = traceback.format_exception(caught.value)
    assert not [line for line in lines if SECRET in line]


def test_a_mask_is_no_secret() -> None:
    raw = make_mapping("mongo")
    raw["destination"]["main"]["password"] = MASK
    raw["source"]["url"] = f"mongodb://{MASK}@db"
    issues = issues_of(raw)
    assert set(issues) == {"source.url", "destination.main.password"}
    assert all("env:NAME" in message for message in issues.values())


def test_an_edit_keeps_the_secrets_that_it_shows_as_masks() -> None:
    stored = parse_mapping(mapping_with_secrets())
    edited = to_dict(stored)
    edited["collections"][0]["batch_size"] = 5
    merged = parse_mapping(keep_secrets(edited, stored))
    assert merged.source == stored.source
    assert merged.destination == stored.destination
    assert edited["source"]["password"] == MASK


@pytest.mark.parametrize("change", [{"url": "evil.example.com"}, {"port": 6432}, {"sslmode": "disable"}])
def test_a_secret_is_not_kept_when_its_server_changes(change: dict[str, Any]) -> None:
    raw = make_mapping()
    raw["destination"]["main"]["password"] = SECRET
    stored = parse_mapping(raw)
    edited = to_dict(stored)
    edited["destination"]["main"] |= change
    assert list(issues_of(keep_secrets(edited, stored))) == ["destination.main.password"]


def test_references_are_kept_as_they_are_and_listed() -> None:
    raw = make_mapping()
    raw["source"] |= {"url": "env:HOST:-localhost", "password": "env:PASSWORD"}
    mapping = parse_mapping(raw)
    assert to_dict(mapping)["source"] == raw["source"]
    assert {loc: reference.name for loc, reference in references_of(mapping).items()} == {
        ("source", "url"): "HOST",
        ("source", "password"): "PASSWORD",
        ("destination", "main", "password"): "WAREHOUSE_PASSWORD",
    }


def test_resolving_puts_values_in_place() -> None:
    raw = make_mapping()
    raw["source"] |= {"url": "env:HOST:-localhost:5433", "password": "env:PASSWORD:-"}
    mapping = parse_mapping(raw)
    resolved = resolve(mapping, {"WAREHOUSE_PASSWORD": SECRET, "PASSWORD": "p:@/?#"}.get)
    destination = resolved.destination["main"]
    assert isinstance(destination, PgsqlDestination)
    assert destination.password.get_secret_value() == SECRET
    assert (resolved.source.host, resolved.source.tcp_port) == ("localhost", 5433)  # type: ignore[union-attr]
    assert resolved.source.password.get_secret_value() == "p:@/?#"  # type: ignore[union-attr]
    assert SECRET not in repr(resolved)
    assert mapping == parse_mapping(raw)


def test_every_variable_that_is_not_set_is_told_with_its_place() -> None:
    raw = make_mapping()
    raw["source"]["username"] = "env:READER"
    with pytest.raises(MappingError) as caught:
        resolve(parse_mapping(raw), NOTHING.get)
    assert {issue.path: issue.message.split(";")[0] for issue in caught.value.issues} == {
        "source.username": "environment variable READER is not set",
        "destination.main.password": "environment variable WAREHOUSE_PASSWORD is not set",
    }


def test_a_value_that_does_not_fit_is_told_by_its_variable_and_not_shown() -> None:
    raw = make_mapping()
    raw["source"]["url"] = "env:HOST"
    values = {"HOST": f"admin:{SECRET}@db", "WAREHOUSE_PASSWORD": "x"}
    with pytest.raises(MappingError) as caught:
        resolve(parse_mapping(raw), values.get)
    [issue] = caught.value.issues
    assert issue.path == "source.url"
    assert issue.message.endswith("(the value of environment variable HOST)")
    assert SECRET not in str(caught.value)


def test_a_variable_may_not_hold_another_reference() -> None:
    mapping = parse_mapping(make_mapping())
    with pytest.raises(MappingError, match="holds another reference"):
        resolve(mapping, {"WAREHOUSE_PASSWORD": "env:DJANGO_SECRET_KEY"}.get)


def test_a_lookup_may_refuse_a_name() -> None:
    def lookup(name: str) -> str | None:
        message = "only names that start with DMS_ are allowed"
        raise ReferenceRefused(message)

    with pytest.raises(MappingError, match="WAREHOUSE_PASSWORD may not be read: only names that start with DMS_"):
        resolve(parse_mapping(make_mapping()), lookup)


def test_settings_resolve_too() -> None:
    raw = SETTINGS | {"slack_notif": {"slack_token": "env:TOKEN", "channel": "env:CHANNEL"}}
    resolved = resolve(parse_settings(raw), {"TOKEN": SECRET, "CHANNEL": "ops"}.get)
    assert resolved.slack_notif is not None
    assert resolved.slack_notif.slack_token.get_secret_value() == SECRET
    assert resolved.slack_notif.channel == "ops"


def test_a_reference_to_a_secret_takes_no_default() -> None:
    raw = make_mapping("mongo")
    raw["source"] |= {"password": f"env:P:-{SECRET}", "url": f"env:U:-mongodb://u:{SECRET}@h"}
    issues = issues_of(raw)
    assert set(issues) == {"source.password", "source.url"}
    assert SECRET not in json.dumps(issues)


def test_a_broken_reference_is_explained() -> None:
    raw = make_mapping()
    raw["source"]["username"] = "env:DB-USER"
    assert "a reference is written env:NAME" in issues_of(raw)["source.username"]
    broken = {**SETTINGS["encryption_store"], "url": "env:"}
    assert (
        "a reference is written env:NAME"
        in settings_issues_of(SETTINGS | {"encryption_store": broken})["encryption_store.url"]
    )


def test_a_mongo_address_is_a_secret() -> None:
    source = parse_mapping(mapping_with_secrets()).source
    assert isinstance(source, MongoSource)
    assert SECRET in source.url.get_secret_value()
    assert SECRET not in repr(source)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://db.example", "db.example"),
        ("mongodb+srv://user:word@cluster.example/shop?retryWrites=true", "cluster.example"),
        ("user:word@db.example:27017", "db.example:27017"),
        ("mongodb://a.example:27017,[2001:db8::1]:27018/?replicaSet=rs", "a.example:27017, [2001:db8::1]:27018"),
        ("mongodb://user:12/345@db.example", ""),
        ("mongodb://user:12?345@db.example", ""),
        ("mongodb://%2Ftmp%2Fmongodb.sock", ""),
        ("mongodb://user:word", ""),
        ("db.example:27017,localhost:27018", "db.example:27017, localhost:27018"),
        ("hunter2-correct-horse", ""),
        ("env:MONGO_URL", ""),
        ("env:MONGO_URL:-mongodb://db.example", ""),
        ("", ""),
    ],
)
def test_servers_of_an_address_are_told_where_they_are_sure(url: str, shown: str) -> None:
    assert servers_in_words(url) == shown


@given(login=st.text(), scheme=st.sampled_from(["mongodb://", "mongodb+srv://", ""]))
def test_no_login_is_told_however_it_is_written(login: str, scheme: str) -> None:
    assert servers_in_words(f"{scheme}{login}@db.example/shop?option=value") in {"", "db.example"}
