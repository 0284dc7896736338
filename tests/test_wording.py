"""A count stands before its noun in the right number, in sentences and on pages."""

from __future__ import annotations

import pytest
from django.template import Context, Template

from connectors.wording import counted


@pytest.mark.parametrize(("count", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1234, "1,234 rows")])
def test_noun_follows_its_count(count: int, words: str) -> None:
    assert counted(count, "row") == words
    assert Template('{% load dms %}{{ n|counted:"row" }}').render(Context({"n": count})) == words


def test_irregular_nouns_are_given_both_ways() -> None:
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
    assert Template('{% load dms %}{{ n|counted:"entry,entries" }}').render(Context({"n": 2})) == "2 entries"


def test_nothing_known_is_no_count() -> None:
    assert Template('{% load dms %}{{ n|counted:"row" }}').render(Context({"n": None})) == "-"
