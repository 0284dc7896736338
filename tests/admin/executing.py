"""A run of a real mapping in the test's own process, with somebody looking on."""

from __future__ import annotations

from typing import Any

from migrations_app import plans, runner, runs
from migrations_app.enums import TriggerKind
from migrations_app.models import Run, Stream
from migrations_app.runner import Onlooker
from tests.verbs.support import MAPPING_ID, register


def make_ready(raw: dict[str, Any]) -> Stream:
    """The one stream of a mapping, ready to be run."""
    register(raw)
    (plan,) = plans.build(MAPPING_ID)
    return plans.stream_row(plan)


def execute(stream: Stream, onlooker: Onlooker | None = None) -> Run:
    """Run the stream to its outcome; mirror and notifications reach nobody and end nothing."""
    run = runs.queue(stream, trigger=TriggerKind.ADMIN)
    return runner.execute(run, lambda: plans.build(stream.mapping_id)[0], onlooker=onlooker)
