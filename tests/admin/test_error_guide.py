"""Every class of error has an explanation, and what has none is called a defect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.errors import ConnectorError
from migrations_app.error_guide import KNOWN, Side, guide_of


def _kinds(kind: type[ConnectorError]) -> Iterator[type[ConnectorError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


@pytest.mark.parametrize("kind", [kind for kind in _kinds(ConnectorError) if kind.__module__ == "connectors.errors"])
def test_every_error_of_the_connectors_is_explained(kind: type[ConnectorError]) -> None:
    assert kind.__name__ in KNOWN


@pytest.mark.parametrize("name", KNOWN)
def test_explanations_are_sentences_and_say_what_to_do(name: str) -> None:
    guide = guide_of(name)

    assert guide.cause.endswith(".")
    assert guide.remedy.endswith(".")


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("SourceAuthFailed", Side.SOURCE),
        ("SchemaMismatch", Side.DESTINATION),
        ("MappingError", Side.MAPPING),
        ("ValueNotRepresentable", Side.DATA),
        ("KeyError", Side.SERVICE),
    ],
)
def test_side_follows_from_the_class(name: str, side: Side) -> None:
    assert guide_of(name).side is side
