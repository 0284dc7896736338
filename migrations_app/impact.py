"""What a change of a mapping means for the rows that are copied already, said before the change is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors import mapping as contract
from connectors.mapping import EVERY_TABLE, Mode
from connectors.mapping.errors import Issue
from migrations_app import sent

Document = dict[str, Any]
Place = tuple[str, str]


class Impact(StrEnum):
    """How far a change reaches; each word includes those before it."""

    #: Nothing that is copied.
    NONE = "none"
    #: The next run does something else than it would have done.
    NEXT_RUN = "next_run"
    #: Rows that are there do not fit any more: the table has to be copied anew.
    FULL_RECOPY = "full_recopy"
    #: Rows at the destination may be removed by the next run.
    DESTRUCTIVE = "destructive"

    @property
    def rank(self) -> int:
        """Its place in the order of the words."""
        return list(Impact).index(self)

    @property
    def words(self) -> str:
        """What is reached, for people."""
        return _REACHED[self]


_REACHED = {
    Impact.NONE: "nothing that is copied",
    Impact.NEXT_RUN: "the next run",
    Impact.FULL_RECOPY: "a whole table, which is copied anew",
    Impact.DESTRUCTIVE: "rows at the destination, which may be deleted",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs.

    Attributes:
        pointer: Where, as a JSON pointer into the new document, or into the old one for what is gone.
        before: What stood there; None for nothing. Secrets are masked.
        after: What stands there.
        impact: How far it reaches.
        says: What that means here.
    """

    pointer: str
    before: Any
    after: Any
    impact: Impact
    says: str

    @property
    def place(self) -> str:
        """The same place as issues name it: ``tables[0].bookmark``."""
        parts = (part.replace("~1", "/").replace("~0", "~") for part in self.pointer.split("/")[1:])
        return Issue(tuple(int(part) if part.isdigit() else part for part in parts), "").path


#: Keys of a spec that say when and how fast, and nothing of the rows.
_HARMLESS = frozenset({"cron", "batch_size", "time_delay", "slack_channel", "lob_fields_length", "indexes"})
#: Keys by which a run finds its place; it refuses to go on when one of them differs from what the place was made by.
_FINDING = frozenset({"mode", "primary_key", "bookmark"})
#: Keys that give rows another form.
_FORMING = frozenset(
    {
        "primary_key_datatype",
        "partition_col",
        "partition_col_format",
        "col_rename",
        "strict",
        "masking_columns",
        "fetch_data_query",
        "fields",
    }
)
#: Keys that say which place a destination is.
_PLACE = frozenset(
    {"destination_type", "url", "port", "host", "db_name", "database", "schema", "s3_bucket_name", "s3_suffix"}
    | {"endpoint_url"}
)
_SOURCE_PLACE = frozenset({"source_type", "url", "port", "db_name", "kafka_server"})
_RESET = "the next run asks for a reset of the checkpoint, which copies the table anew"
_OLD_FORM = "rows that are there keep their old form; reset the checkpoint to copy them anew"


def compare(old: contract.Mapping, new: contract.Mapping, copied: frozenset[Place]) -> list[Change]:
    """Every key that differs, in the order of the document.

    Args:
        old: As it is stored.
        new: As it is to be.
        copied: Names of specs and destinations whose streams have reached a place; for others nothing can be lost.
    """
    found = [*_source_changes(old, new, copied), *_destination_changes(old, new, copied)]
    found += _spec_changes(old, new, copied)
    before, after = _two(old), _two(new)
    for key in ("redis", "get_table_name", "process_dict"):
        if before[1].get(key) != after[1].get(key):
            found.append(_change((key,), before[0].get(key), after[0].get(key), Impact.NEXT_RUN, "counts from then on"))
    return found


def greatest(changes: list[Change]) -> Impact:
    """The impact of all of them together."""
    return max((change.impact for change in changes), key=lambda impact: impact.rank, default=Impact.NONE)


def _source_changes(old: contract.Mapping, new: contract.Mapping, copied: frozenset[Place]) -> Iterator[Change]:
    deletes = any(getattr(spec, "mode", None) is Mode.MIRRORING for spec in new.specs)
    for key, before, after in differences(old.source, new.source):
        impact, says = Impact.NEXT_RUN, "the next run connects like this"
        if key in _SOURCE_PLACE and copied:
            says = "the next run reads from there and goes on from where it was"
            if deletes:
                impact, says = Impact.DESTRUCTIVE, "mirroring deletes the rows that are not there"
            elif key in {"db_name", "source_type"}:
                impact, says = (
                    Impact.FULL_RECOPY,
                    "the name is part of the place at the destination, so all is copied anew",
                )
        yield _change(("source", key), before, after, impact, says)


def _destination_changes(old: contract.Mapping, new: contract.Mapping, copied: frozenset[Place]) -> Iterator[Change]:
    for name, config in new.destination.items():
        former = old.destination.get(name)
        if former is None:
            shown = _plain(config)
            yield _change(("destination", name), None, shown, Impact.NEXT_RUN, "the next run copies everything there")
            continue
        is_copied = any(place[1] == name for place in copied)
        for key, before, after in differences(former, config):
            impact, says = Impact.NEXT_RUN, "the next run connects like this"
            if key in _PLACE and is_copied:
                impact, says = Impact.FULL_RECOPY, "everything is copied to the new place; the old one keeps its rows"
            yield _change(("destination", name, key), before, after, impact, says)
    for name in old.destination.keys() - new.destination.keys():
        says = "nothing is copied there any more; its rows stay"
        yield _change(("destination", name), _plain(old.destination[name]), None, Impact.NEXT_RUN, says)


def _spec_changes(old: contract.Mapping, new: contract.Mapping, copied: frozenset[Place]) -> Iterator[Change]:
    noun = f"{new.noun}s"
    former = {spec.name: spec for spec in old.specs}
    for position, spec in enumerate(new.specs):
        was = former.pop(spec.name, None)
        if was is None or type(was) is not type(spec):
            says = f"the next run copies this {new.noun} for the first time"
            yield _change((noun, position), None, _plain(spec), Impact.NEXT_RUN, says)
            continue
        is_copied = any(spec.name in {EVERY_TABLE, name} for name, _ in copied)
        for key, before, after in differences(was, spec):
            impact, says = _spec_impact(was, spec, key)
            if not is_copied and impact.rank > Impact.NEXT_RUN.rank:
                impact, says = Impact.NEXT_RUN, "nothing is copied yet, so nothing is lost"
            yield _change((noun, position, key), before, after, impact, says)
    for position, spec in enumerate(old.specs):
        if spec.name in former:
            says = f"this {old.noun} is not copied any more; its rows stay"
            yield _change((f"{old.noun}s", position), _plain(spec), None, Impact.NEXT_RUN, says)


def _spec_impact(old: Any, new: Any, key: str) -> tuple[Impact, str]:
    if key in _HARMLESS:
        return Impact.NONE, "the rows stay as they are"
    if key == "mode" and new.mode is Mode.MIRRORING:
        return Impact.DESTRUCTIVE, f"mirroring deletes what the source no longer has; {_RESET}"
    if key == "expiry" and _is_shorter(old.expiry, new.expiry):
        return Impact.DESTRUCTIVE, "snapshots older than this are removed"
    if key == "max_delete_fraction" and (new.max_delete_fraction or 0) > (old.max_delete_fraction or 0):
        return Impact.DESTRUCTIVE, "the guard lets more deletions through"
    if key in _FINDING:
        return Impact.FULL_RECOPY, _RESET
    if key in _FORMING:
        return Impact.FULL_RECOPY, _OLD_FORM
    return Impact.NEXT_RUN, "counts from the next run on"


def _is_shorter(old: Any, new: Any) -> bool:
    return new is not None and (old is None or new.timedelta < old.timedelta)


def differences(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Keys that differ, with what is shown of both; a secret that differs differs though both masks are the same."""
    (shown_before, before), (shown_after, after) = _two(old), _two(new)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield key, shown_before.get(key), shown_after.get(key)


def _two(part: Any) -> tuple[Document, Document]:
    """A part of the document as it is shown, and with its secrets."""
    return _plain(part), contract.to_dict(part, reveal=True)


def _plain(part: Any) -> Document:
    shown: Document = sent.plain(contract.to_dict(part))
    return shown


def _change(loc: tuple[str | int, ...], before: Any, after: Any, impact: Impact, says: str) -> Change:
    return Change(Issue(loc, "").pointer, before, after, impact, says)
