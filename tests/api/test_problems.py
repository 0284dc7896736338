"""What goes wrong inside is told apart from what the caller did wrong, and says nothing of the inside."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from django.db import OperationalError

from migrations_app.api import mappings
from tests.api.calling import Caller


def failing(error: Exception) -> Any:
    def fail(*_arguments: Any, **_more: Any) -> NoReturn:
        raise error

    return fail


def test_failure_inside_says_nothing_of_it(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "by_key", failing(RuntimeError("the-inside")))

    answer = api.get("/mappings", X_Request_Id="r-1")

    assert (answer.status, answer.body["code"], answer.body["request_id"]) == (500, "internal_error", "r-1")
    assert "the-inside" not in answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_database_that_does_not_answer_is_no_mistake_of_the_caller(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mappings, "by_key", failing(OperationalError("database is locked")))

    answer = api.get("/mappings")

    assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, "busy", "5")
    assert "locked" not in answer.text


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", ""])
def test_request_id_that_is_no_plain_word_is_replaced(api: Caller, given: str) -> None:
    answer = api.get("/mappings", X_Request_Id=given)

    assert answer.headers["X-Request-Id"] != given
    assert len(answer.headers["X-Request-Id"]) == 32
