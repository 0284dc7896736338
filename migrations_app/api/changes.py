"""Changes of a document as the API shows them: in answers to a registration, and in refusals of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

from migrations_app.impact import Change, Impact


class ChangeShape(BaseModel):
    """One key that differs."""

    path: str = Field(description="JSON pointer into the new document, or into the old one for what is gone")
    before: Any = Field(alias="from", description="what stood there; null for nothing; secrets are masked")
    after: Any = Field(alias="to", description="what stands there")
    impact: Impact = Field(description="how far it reaches")
    says: str = Field(description="what that means here")


def shapes_of(changes: Iterable[Change]) -> list[ChangeShape]:
    """The changes, as they are shown."""
    return [
        ChangeShape.model_validate(
            {
                "path": change.pointer,
                "from": change.before,
                "to": change.after,
                "impact": change.impact,
                "says": change.says,
            }
        )
        for change in changes
    ]
