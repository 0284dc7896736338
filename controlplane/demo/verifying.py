"""The demo's last word: whether source and destination hold the same, stream by stream."""

from __future__ import annotations

from dataclasses import dataclass, replace

from connectors.comparison import Verdict
from connectors.mapping import TableSpec
from migrations_app import plans
from migrations_app.verbs.verify import verify


@dataclass(frozen=True)
class Verified:
    """What the comparison of one stream found.

    Attributes:
        stream: The stream's id.
        table: Its name at the destination.
        place: Of the source's tables in a bucket, such as ``sql/shop``.
        destination: As the mapping names it.
        key: Columns of its key; none for a dump.
        source_rows, destination_rows: Counts; of a dump, those of its newest snapshot.
        is_equal: What the mode promises is kept; what could not be compared is not equal.
        remarks: Why not, and what to know besides.
    """

    stream: str
    table: str
    place: str
    destination: str
    key: tuple[str, ...]
    source_rows: int
    destination_rows: int
    is_equal: bool
    remarks: tuple[str, ...]


def verify_mapping(mapping_id: str) -> list[Verified]:
    """Compare both ends of every stream of a mapping, as `manage.py verify_migration` does."""
    return [_verified(plan) for plan in plans.build(mapping_id)]


def _verified(plan: plans.Plan) -> Verified:
    found = verify(plan)
    spec = plan.stream.spec
    verified = Verified(
        stream=found.stream_id,
        table=plan.stream.name,
        place=f"{plan.stream.kind}/{plan.stream.db_name}",
        destination=plan.destination_name,
        key=spec.keys if isinstance(spec, TableSpec) else ("_id",),
        source_rows=0,
        destination_rows=0,
        is_equal=False,
        remarks=(found.error,),
    )
    if found.comparison is None:
        return verified
    return replace(
        verified,
        source_rows=found.comparison.source_rows,
        destination_rows=found.comparison.destination_rows,
        is_equal=found.verdict is Verdict.EQUAL,
        remarks=(*found.comparison.reasons, *found.comparison.notes),
    )
