"""What people see: on a terminal, on a narrow one and in a pipe."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from connectors.base import RunReport
from migrations_app.enums import RunState
from migrations_app.formats import human_bytes, human_seconds
from migrations_app.management.outcomes import print_outcomes
from migrations_app.models import Run, Stream
from migrations_app.progress import Display
from migrations_app.runner import Progress

_LONG = "warehouse_DMS_a_table_whose_name_is_long_destination"


def _run(unique_id: str = _LONG, **fields: object) -> Run:
    return Run(stream=Stream(unique_id=unique_id), state=RunState.SUCCEEDED, read=12_000, inserted=12_000, **fields)


def _printed(*outcomes: Run, width: int) -> list[str]:
    out = StringIO()
    print_outcomes(
        outcomes, Console(file=out, width=width, force_terminal=True, color_system=None, markup=False, emoji=False)
    )
    return out.getvalue().splitlines()


def test_table_where_there_is_room() -> None:
    heading, line = _printed(_run(), width=160)

    assert heading.split()[:4] == ["stream", "state", "rows", "read"]
    assert line.split()[:3] == [_LONG, "succeeded", "12,000"]


def test_narrow_terminal_gets_sentences_and_whole_names() -> None:
    text = " ".join(_printed(_run(), width=60))

    assert text.startswith(f"{_LONG} succeeded: rows read 12,000, inserted 12,000")


def test_reason_and_warnings_are_shown_once_and_as_they_are() -> None:
    run = _run(reason="pgsql source: [red] :smile:", warnings=["look"])
    run.state = RunState.FAILED

    text = "\n".join(_printed(run, width=160))

    assert text.count(f"{_LONG} failed: pgsql source: [red] :smile:") == 1
    assert text.count(f"{_LONG} warning: look") == 1


def test_progress_in_a_pipe_is_a_line_a_phase() -> None:
    out = StringIO()
    report = RunReport()
    run = _run()
    run.read = 0
    with Display("s", Console(file=out, width=200)) as display:
        for phase in ("open", "open", "copy", "copy", "follow"):
            report.phase = phase
            display.update(Progress(run, report))

    assert out.getvalue().splitlines() == ["s: connecting", "s: first copy", "s: reading what changed"]


def test_progress_tells_rows_bytes_and_what_is_left() -> None:
    report = RunReport(phase="copy", bytes_moved=2_500_000, rows_expected=24_000)
    line = Display("s", Console(file=StringIO())).line(Progress(_run(), report))

    assert line.startswith("s: first copy, 12,000 rows, ")
    assert "2.5 MB moved, about " in line
    assert line.endswith(" left")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_seconds(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (2e13, "20.0 TB")]
)
def test_bytes(count: float, text: str) -> None:
    assert human_bytes(count) == text
