"""What a new installation needs before rows arrive: a list that ticks itself."""

from __future__ import annotations

from dataclasses import dataclass

from migrations_app.models import Destination, Mapping, Run, ServiceSettings, Source


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        name: What it is, as an order.
        why: One sentence.
        page: The admin's name of the page where it is done.
        permission: What one needs for it.
        is_done: The control database says so.
    """

    name: str
    why: str
    page: str
    permission: str
    is_done: bool


def steps() -> list[Step]:
    """All of them in order, done or not: five queries."""
    return [
        Step(
            "Set the service settings",
            "The two MongoDB stores keep the history of runs; none starts without them.",
            "servicesettings_changelist",
            "add_servicesettings",
            ServiceSettings.objects.exists(),
        ),
        Step("Add a source", "Where rows come from.", "source_add", "add_source", Source.objects.exists()),
        Step(
            "Add a destination",
            "Where rows go.",
            "destination_add",
            "add_destination",
            Destination.objects.exists(),
        ),
        Step(
            "Define a mapping",
            "Which tables are copied, in which mode, and when.",
            "mapping_add",
            "add_mapping",
            Mapping.objects.exists(),
        ),
        Step(
            "Run it",
            "See the rows arrive; after that it runs by its schedule.",
            "mapping_changelist",
            "run_mapping",
            Run.objects.exists(),
        ),
    ]
