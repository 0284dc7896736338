"""The demo's last word: whether source and destination hold the same, stream by stream."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.comparison import Verdict
from migrations_app import plans
from migrations_app.verbs.verify import verify


@dataclass(frozen=True)
class Verified:
    """What the comparison of one stream found.

    Attributes:
        stream: The stream's id.
        source_rows, destination_rows: Counts; of a dump, those of its newest snapshot.
        is_equal: What the mode promises is kept; what could not be compared is not equal.
        remarks: Why not, and what to know besides.
    """

    stream: str
    source_rows: int
    destination_rows: int
    is_equal: bool
    remarks: tuple[str, ...]


def verify_mapping(mapping_id: str) -> list[Verified]:
    """Compare both ends of every stream of a mapping, as `manage.py verify_migration` does."""
    return [_verified(plan) for plan in plans.build(mapping_id)]


def _verified(plan: plans.Plan) -> Verified:
    found = verify(plan)
    if found.comparison is None:
        return Verified(found.stream_id, 0, 0, is_equal=False, remarks=(found.error,))
    return Verified(
        found.stream_id,
        found.comparison.source_rows,
        found.comparison.destination_rows,
        is_equal=found.verdict is Verdict.EQUAL,
        remarks=(*found.comparison.reasons, *found.comparison.notes),
    )
