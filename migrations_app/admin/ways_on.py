"""What an operator can do about a data check that found differences: what each kind needs, and backfills filled in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.http import urlencode

from connectors.comparison import Difference
from connectors.mapping import Mode
from connectors.mapping.enums import KeyType
from migrations_app.admin.posting import url_of
from migrations_app.models import SpecRow, Stream

#: What a backfill brings; rows at the destination alone are none of the source's.
_READ_AGAIN = {Difference.MISSING, Difference.CHANGED}


@dataclass(frozen=True, slots=True)
class WaysOn:
    """The ways on from what was found.

    Attributes:
        sentences: What each kind of difference needs.
        keys: The keys that were named, as the data check has them, with the page of a backfill of each under `url`;
            empty for those that a backfill does not bring.
        span: The lowest and the highest of those that it brings, where keys are whole numbers; else None.
        span_url: The page of a backfill of that range.
        can_reset: Whether copying everything again may help.
    """

    sentences: tuple[str, ...]
    keys: tuple[dict[str, Any], ...] = ()
    span: tuple[str, str] | None = None
    span_url: str = ""
    can_reset: bool = False


def ways_on(stream: Stream, result: dict[str, Any], spec: SpecRow | None) -> WaysOn:
    """The ways on from the result of a data check that found differences.

    Args:
        stream: The stream, a part of its mapping.
        result: What was found.
        spec: How the stream is copied now.
    """
    mode = str(getattr(spec, "mode", "") or result.get("mode", ""))
    named = result.get("differing_keys", [])
    if mode == Mode.DUMPING:
        sentence = "Run it for a new snapshot: an earlier one is never changed."
        return WaysOn((sentence,), keys=tuple({**each, "url": ""} for each in named))
    wanted = [each["key"] if each["difference"] in _READ_AGAIN else [] for each in named]
    span = _span([key for key in wanted if key], spec)
    return WaysOn(
        sentences=tuple(_sentences(result, mode)),
        keys=tuple(
            {**each, "url": _backfill_url(stream, key, key) if key else ""}
            for each, key in zip(named, wanted, strict=True)
        ),
        span=span,
        span_url=_backfill_url(stream, span[:1], span[1:]) if span else "",
        can_reset=True,
    )


def _sentences(result: dict[str, Any], mode: str) -> list[str]:
    said = []
    is_logging = mode == Mode.LOGGING
    if result.get(Difference.MISSING) or (result.get(Difference.CHANGED) and not is_logging):
        what = "inserts those that are missing" + ("" if is_logging else ", and updates those that differ")
        said.append(f"A backfill reads rows again and {what}; it deletes none and leaves the checkpoint where it is.")
    if result.get(Difference.CHANGED) and is_logging:
        said.append(
            "Logging leaves rows that are there as they are, so neither a backfill nor a reset changes those that"
            " differ: delete them at the destination first, or change the mode to syncing."
        )
    if result.get(Difference.EXTRA) and not result.get("extra_rows_allowed"):
        said.append("The next run deletes rows that the source no longer has: run it now.")
    if result.get(Difference.REPEATED):
        said.append(
            "Do not count on a run to remove rows that are there more than once: delete the surplus at the destination."
        )
    if result.get("absent_columns"):
        said.append("The next run adds columns that the destination lacks: run it now.")
    if not result.get("counts_are_complete", True):
        said.append("More keys differ than are named: a backfill of these is not all.")
    said.append("When it is done, verify again.")
    return said


def _span(keys: Sequence[Sequence[str]], spec: SpecRow | None) -> tuple[str, str] | None:
    """From the lowest to the highest; of whole numbers alone, as the source sorts other keys by its own rules."""
    types = getattr(spec, "primary_key_datatype", None) or []
    is_number = list(types if isinstance(types, list) else [types]) == [KeyType.INT]
    if not keys or not is_number or not all(len(key) == 1 and key[0].lstrip("-").isdecimal() for key in keys):
        return None
    numbers = sorted(int(key[0]) for key in keys)
    return str(numbers[0]), str(numbers[-1])


def _backfill_url(stream: Stream, first: Sequence[str], last: Sequence[str]) -> str:
    asked = urlencode({"from_key": _written(first), "to_key": _written(last)})
    return f"{url_of(stream, 'backfilling')}?{asked}"


def _written(key: Sequence[str]) -> str:
    """A key as the page takes it: the value itself, or a JSON list where that could be taken for something else."""
    text = key[0]
    is_plain = len(key) == 1 and text == text.strip() and text and not text.startswith("[")
    return text if is_plain else json.dumps(list(key), ensure_ascii=False)
