"""The home page: what an operator wants to know first, by a fixed number of queries however many streams and runs.

Three pieces of it are asked for again while the page is looked at: what runs now every few seconds, and how streams
stand and the charts every minute. Charts that have not changed since are not sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from migrations_app import column_changes, formats
from migrations_app.admin.charts import Series, day_names, outcomes_of, stacked_bars
from migrations_app.enums import RunState
from migrations_app.monitoring import ahead, at_work, first_steps, freshness, health, history
from migrations_app.monitoring.history import OUTCOMES, Slot
from migrations_app.settings_io import schedule_settings
from migrations_app.standing.judging import Standing
from migrations_app.zones import zone_name, zone_named

#: What people may see of runs and streams here is what they may see on those pages.
NEEDED = ("migrations_app.view_run", "migrations_app.view_stream")
#: How often what runs is asked for, while something runs and while nothing does.
_BUSY_S = 3
_IDLE_S = 30
_RUNNING_SHOWN = 10
_LISTED = 20
#: Of each kind that needs somebody: what runs now is not to be pushed off the screen.
_WANTING_LISTED = 5
#: Where each check of the health strip is looked into.
_CHECK_PAGES = {
    "scheduler": "heartbeat",
    "workers": "heartbeat",
    "queue": "run",
    "mirror": "outboxentry",
    "notifications": "channel",
}

admin.site.index_title = "Home"
admin.site.index_template = "pages/home.html"


def may_see(request: HttpRequest) -> bool:
    """Whether the person may see runs and streams."""
    return request.user.has_perms(NEEDED)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the index page shows; unfold calls it (DASHBOARD_CALLBACK)."""
    if not may_see(request):
        return context | {"is_closed": True}
    found = outlook(request)
    steps = [] if found["freshness"].has_success else first_steps.steps()
    shows_steps = not all(step.is_done for step in steps)
    return context | now(request) | found | charts(request) | {"steps": _linked(request, steps) if shows_steps else []}


def now(request: HttpRequest) -> dict[str, Any]:
    """The health strip and what runs: seven queries."""
    found = at_work.look(timezone.now(), _RUNNING_SHOWN)
    checks = [
        {
            "check": check,
            "name": check.name.capitalize(),
            "word": _word(check),
            "link": _check_link(request, check.name),
        }
        for check in health.checks()
    ]
    all_running = run_list(RunState.RUNNING)
    return {
        "checks": checks,
        "at_work": found,
        "all_running": all_running,
        "ask_again_s": _IDLE_S if found.is_idle else _BUSY_S,
    }


def outlook(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001 - the same shape as `now`
    """How streams stand, which columns changed and what comes next: nine queries."""
    moment = timezone.now()
    found = freshness.look(moment, _LISTED)
    changed = column_changes.unseen()
    is_scheduling, _ = schedule_settings()
    return {
        "freshness": found,
        "standings": [(standing, count, stream_list(standing)) for standing, count in found.counts.items()],
        "wanting": [
            (standing, ages[:_WANTING_LISTED], found.counts[standing], stream_list(standing))
            for standing, ages in found.wanting.items()
        ],
        "changed": changed[:_WANTING_LISTED],
        "changed_count": len(changed),
        "all_changed": f"{reverse('admin:migrations_app_stream_changelist')}?columns=unseen",
        "coming": ahead.look(moment),
        "is_scheduling": is_scheduling,
    }


def stream_list(standing: Standing) -> str:
    """The list of all streams that stand so."""
    return f"{reverse('admin:migrations_app_stream_changelist')}?standing={standing.name.lower()}"


def _word(check: health.Check) -> str:
    if check.is_off:
        return "Off"
    if check.is_fine:
        return "OK"
    return "Failing" if check.counts else "Warning"


def _check_link(request: HttpRequest, name: str) -> str:
    model = _CHECK_PAGES.get(name)
    if model is None or not request.user.has_perm(f"migrations_app.view_{model}"):
        return ""
    return reverse(f"admin:migrations_app_{model}_changelist")


def _linked(request: HttpRequest, steps: Sequence[first_steps.Step]) -> list[dict[str, Any]]:
    """The steps; the first that is open and that the person may do has an address."""
    is_next = True
    shown = []
    for step in steps:
        may = request.user.has_perm(f"migrations_app.{step.permission}")
        link = reverse(f"admin:migrations_app_{step.page}") if is_next and not step.is_done and may else ""
        shown.append({"step": step, "link": link})
        is_next = is_next and step.is_done
    return shown


def charts(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001 - the same shape as `now`
    """Runs by outcome, rows and bytes, and a mark by which a page knows whether it shows the same: two queries."""
    found = _charts()
    mark = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]
    return {"history": found, "history_mark": mark}


def _charts() -> list[tuple[str, dict[str, Any]]]:
    zone = zone_named(schedule_settings()[1])
    moment = timezone.now()
    hours, days = history.hours(zone, moment), history.days(zone, moment)
    history.fill([*hours, *days])
    place = zone_name(moment.astimezone(zone))
    by_hour = ("Hour", [slot.begin.strftime("%H:%M") for slot in hours])
    by_day = day_names(days)
    rows, byte_count = sum(slot.rows for slot in days), sum(slot.byte_count for slot in days)
    rows_chart = stacked_bars(
        f"Rows inserted, updated and deleted by the runs that ended on each day, {place}",
        by_day,
        [Series("Rows", "--dms-chart-rows", [slot.rows for slot in days])],
    )
    bytes_chart = stacked_bars(
        f"Bytes moved by the runs that ended on each day, {place}",
        by_day,
        [Series("Bytes", "--dms-chart-bytes", [slot.byte_count for slot in days])],
        unit="bytes",
    )
    runs_by_hour = stacked_bars(f"Runs that ended in each hour, {place}", by_hour, outcomes_of(hours))
    runs_by_day = stacked_bars(f"Runs that ended on each day, {place}", by_day, outcomes_of(days))
    return [
        ("Runs of the last 24 hours", _with_sums(runs_by_hour, hours)),
        ("Runs of the last 14 days", _with_sums(runs_by_day, days)),
        ("Rows written", _with_total(rows_chart, rows, f"{formats.counted(rows, 'row')} in 14 days")),
        ("Bytes moved", _with_total(bytes_chart, byte_count, f"{formats.human_bytes(byte_count)} in 14 days")),
    ]


def _with_sums(chart: dict[str, Any], slots: Sequence[Slot]) -> dict[str, Any]:
    is_empty = not any(slot.total for slot in slots)
    return {"chart": chart, "sums": _sums(slots), "is_empty": is_empty, "nothing": "No run has ended in this time."}


def _with_total(chart: dict[str, Any], total: int, words: str) -> dict[str, Any]:
    return {"chart": chart, "total": words, "is_empty": not total, "nothing": "Nothing has been moved in this time."}


def _sums(slots: Sequence[Slot]) -> list[tuple[str, int, str]]:
    """Outcome, number of runs and where they are listed; what went well is told even when there is nothing of it."""
    sums = {outcome: sum(slot.runs[outcome] for slot in slots) for outcome in OUTCOMES}
    shown = {outcome: count for outcome, count in sums.items() if count or outcome == OUTCOMES[0]}
    return [(str(outcome), count, run_list(outcome, slots[0].begin)) for outcome, count in shown.items()]


def run_list(state: RunState, since: datetime | None = None) -> str:
    """The list of all runs in that state, from a time in the settings' zone on."""
    asked = {"state__exact": str(state)} | ({"since": f"{since:%Y-%m-%dT%H:%M}"} if since else {})
    return f"{reverse('admin:migrations_app_run_changelist')}?{urlencode(asked)}"
