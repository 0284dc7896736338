"""What looks like a secret is masked; what does not stays readable. Traces say where, never what."""

from __future__ import annotations

import pytest

from connectors.errors import SourceUnavailable
from migrations_app.masking import mask, remember
from migrations_app.traces import trace_of


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://u:pa55-w0rd@h/db", "pa55-w0rd"),
        ("postgresql://u:p/a@5?5#w@h:5432/db?x=1", "5?5#w"),
        ("mongodb+srv://:only-password@h", "only-password"),
        ("token xoxb-12-34-abcDEF refused", "xoxb-12-34-abcDEF"),
        ("sealed:0123abcd:gAAAAABtoken==", "gAAAAAB"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("host=h password=s3cret user=u", "s3cret"),
        ("password='with space' user=u", "with space"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ('{"slack_token": "abc def"}', "abc def"),
        ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("DETAIL:  Key (email)=(alice@example.org) already exists.", "alice@example.org"),
        ("DETAIL:  Failing row contains (1, alice, 4111).", "alice"),
    ],
)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "pgsql source, stream shop_DMS_orders_warehouse: the server refused the credentials; check `password`",
        "slack_notif.slack_token: is required when notify is True",
        "http://127.0.0.1:8000/healthz answered 200",
        "primary key of orders is id; 1,200 rows read",
    ],
)
def test_sentences_stay_as_they_are(text: str) -> None:
    assert mask(text) == text


def test_value_that_was_told_is_masked_everywhere() -> None:
    remember("correct horse battery", "short")
    assert mask("it said correct horse battery, short") == "it said ***, short"


def test_trace_names_places_and_types_and_quotes_only_our_own_errors() -> None:
    try:
        try:
            int("4111-1111-row-value")
        except ValueError as cause:
            sentence = "it restarts; wait"
            raise SourceUnavailable(sentence, connector="pgsql source", stream="s") from cause
    except SourceUnavailable as error:
        trace = trace_of(error)

    assert "4111" not in trace
    assert trace.index("ValueError") < trace.index("connectors.errors.SourceUnavailable: pgsql source, stream s: it")
    assert "tests/notify/test_masking.py:" in trace
    assert " in test_trace_names_places" in trace


def test_trace_of_endless_chains_ends() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert trace_of(first).count("ValueError") == 1


def test_trace_of_a_deep_stack_is_cut() -> None:
    def deeper(levels: int) -> None:
        if levels == 0:
            raise RuntimeError
        deeper(levels - 1)

    with pytest.raises(RuntimeError) as caught:
        deeper(50)
    assert len(trace_of(caught.value).splitlines()) < 20
