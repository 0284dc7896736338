"""All mistakes are told at once, each at its place, and no value of the document is ever told."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from connectors.mapping import Issue, MappingError, parse_mapping, parse_settings
from tests.mapping.samples import (
    S3_DESTINATION,
    issues_of,
    make_mapping,
    make_settings,
    settings_issues_of,
)
from tests.mapping.strategies import Raw, mappings

SECRET = "hunter2-correct-horse"


def test_ten_mistakes_give_ten_issues_in_the_order_of_the_document() -> None:
    raw: dict[str, Any] = {
        "source": {"source_type": "pgsql", "url": f"postgres://admin:{SECRET}@db/shop", "password": 5},
        "destination": {"lake": S3_DESTINATION | {"s3_bucket_nam": "x"}, "other": {"destination_type": "mysql"}},
        "tables": [
            {"table_name": "a.orders", "cron": "* * *", "mode": "mirroring", "primary_key": "id", "batch_size": 0},
            {"table_name": "b.orders", "cron": "self-managed", "mode": "dumping", "expiry": {"day": 1}},
        ],
        "redis": {"url": "redis://cache"},
    }
    with pytest.raises(MappingError) as caught:
        parse_mapping(raw)
    assert [issue.path for issue in caught.value.issues] == [
        "source.url",
        "source.db_name",
        "source.password",
        "destination.lake.s3_bucket_nam",
        "destination.other.destination_type",
        "tables[0].cron",
        "tables[0].batch_size",
        "tables[0].bookmark",
        "tables[0].primary_key_datatype",
        "tables[0].mode",
        "tables[1].expiry.day",
        "tables[1].table_name",
        "redis",
    ]
    assert len(str(caught.value).splitlines()) == len(caught.value.issues)
    assert SECRET not in str(caught.value)


def test_an_issue_has_a_path_for_people_and_a_pointer_for_programs() -> None:
    issue = Issue(("destination", "my dest/1", "tables", 0), "is wrong")
    assert issue.path == "destination['my dest/1'].tables[0]"
    assert issue.pointer == "/destination/my dest~11/tables/0"
    assert str(issue) == "destination['my dest/1'].tables[0]: is wrong"


_SPOILT = st.sampled_from([SECRET, None, -1, 3.5, True, [], [SECRET], {}, {SECRET: SECRET}, f"env:{SECRET}"])


def _places(part: Any, loc: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [loc, *(place for key, value in inner for place in _places(value, (*loc, key)))]


@limits(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=mappings(), data=st.data())
def test_a_spoilt_mapping_is_read_or_refused_without_showing_what_was_put_in(raw: Raw, data: st.DataObject) -> None:
    raw = copy.deepcopy(raw)
    for place in data.draw(st.lists(st.sampled_from(_places(raw)[1:]), min_size=1, max_size=4)):
        part: Any = raw
        try:
            for key in place[:-1]:
                part = part[key]
            part[place[-1]] = copy.deepcopy(data.draw(_SPOILT))
        except (TypeError, KeyError, IndexError):
            continue
    messages = issues_of(raw).values()
    assert not [message for message in messages if SECRET in message]
    if not messages:
        parse_mapping(raw)


@pytest.mark.parametrize("mode", ["mirroring", "syncing", "logging"])
def test_a_wrong_type_does_not_hide_a_broken_rule(mode: str) -> None:
    raw = make_mapping(mode=mode, batch_size="many", primary_key=...)
    with pytest.raises(MappingError) as caught:
        parse_mapping(raw)
    assert {issue.path for issue in caught.value.issues} == {"tables[0].batch_size", "tables[0].primary_key"}


SETTINGS_RULES: list[tuple[dict[str, Any], str, str]] = [
    ({"encryption_store": ...}, "encryption_store", "is required"),
    ({"dashboard_store": ...}, "dashboard_store", "is required"),
    ({"dashboard_store": {"url": "u", "db_name": "d"}}, "dashboard_store.collection_name", "is required"),
    ({"notify": True}, "slack_notif", "is required when notify is True"),
    ({"notify": True, "slack_notif": {}}, "slack_notif", "is required when notify is True"),
    ({"slack_notif": {"channel": "#c"}}, "slack_notif.slack_token", "is required"),
    ({"timezone": "IST+5"}, "timezone", "such as Asia/Kolkata"),
    ({"cut_off_time": "25:00"}, "cut_off_time", "such as 22:30:00"),
    ({"cut_off_time": "22:30+05:30"}, "cut_off_time", "without a time zone"),
    ({"cut_off_time": 81000}, "cut_off_time", "in quotes in YAML"),
    ({"fastapi_server": 1}, "fastapi_server", "expected True or False"),
    ({"keepalive_kwargs": {"keepalives": 2}}, "keepalive_kwargs.keepalives", "expected 1 or less"),
    ({"slack_notify": True}, "slack_notify", "did you mean 'slack_notif'?"),
]


@pytest.mark.parametrize(("changes", "path", "message"), SETTINGS_RULES)
def test_settings_that_break_one_rule_get_one_issue(changes: dict[str, Any], path: str, message: str) -> None:
    issues = settings_issues_of(make_settings(**changes))
    assert list(issues) == [path]
    assert message in issues[path]


def test_settings_have_the_documented_defaults() -> None:
    settings = parse_settings(make_settings())
    assert not settings.fastapi_server
    assert not settings.notify
    assert settings.timezone == "Asia/Kolkata"
    assert settings.slack_notif is None
    assert settings.cut_off_time is None


def test_tables_have_the_documented_defaults() -> None:
    [table] = parse_mapping(make_mapping(bookmark=False)).tables or ()
    assert table.batch_size == 10000
    assert table.partition_col is False
    assert table.partition_col_format == "str"
    assert not table.improper_bookmarks
    assert not table.strict
    assert table.buffer_updation_lag is None


def test_models_cannot_be_changed() -> None:
    mapping = parse_mapping(make_mapping())
    with pytest.raises(ValueError, match="frozen"):
        mapping.source.db_name = "other"  # type: ignore[misc]
