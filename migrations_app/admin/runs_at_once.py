"""Stop and Retry on a selection of runs: a page that says in numbers what happens, then the act, by POST."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from connectors.wording import counted
from migrations_app import audit
from migrations_app.admin.auditing import records_itself
from migrations_app.admin.pages import page
from migrations_app.admin.posting import Refused, posted
from migrations_app.enums import RunState
from migrations_app.models import Run
from migrations_app.verbs import several
from migrations_app.verbs.several import Choice, Outcome

_RUN = "migrations_app.run_mapping"
#: More at once is a mistake more often than not, and takes a request too long.
_MOST_AT_ONCE = 1000
_SHOWN = 50
_PROBLEMS = 10


class RunsAtOnce:
    """The two actions of the list of runs."""

    # What was chosen goes to an address of its own: the list would leave out runs that have left its filter meanwhile.
    @records_itself
    @admin.action(description="Stop", permissions=["run"])
    def stop_selected(self, request: HttpRequest, queryset: Any) -> HttpResponseBase | None:
        """Ask whether the selected runs are to end."""
        choice = self._choice(request, queryset, several.to_stop)
        if choice is None:
            return None
        return _confirmation(request, choice, "stop_several", "Stop", _stop_in_numbers(choice))

    @records_itself
    @admin.action(description="Retry", permissions=["run"])
    def retry_selected(self, request: HttpRequest, queryset: Any) -> HttpResponseBase | None:
        """Ask whether the selected runs are to be tried again."""
        choice = self._choice(request, queryset, several.to_retry)
        if choice is None:
            return None
        return _confirmation(request, choice, "retry_several", "Retry", _retry_in_numbers(choice))

    @posted(_RUN, on_list=True, is_audited=False)
    def stop_several(self, request: HttpRequest) -> str:
        """Ask the runs to end at their last commit."""
        choice = several.to_stop(_posted_runs(request))
        outcome = several.stop(choice, by=audit.actor_of(request))
        _tell(request, choice, outcome)
        return f"{counted(outcome.done, 'run stops', 'runs stop')} within seconds."

    @posted(_RUN, on_list=True, is_audited=False)
    def retry_several(self, request: HttpRequest) -> str:
        """Queue a new run for each of the runs."""
        choice = several.to_retry(_posted_runs(request))
        outcome = several.retry(choice, by=audit.actor_of(request))
        _tell(request, choice, outcome)
        return f"Queued {counted(outcome.done, 'run')}."

    def _choice(self, request: HttpRequest, queryset: Any, choose: Callable[[list[Run]], Choice]) -> Choice | None:
        chosen = list(_whole(queryset)[: _MOST_AT_ONCE + 1])
        if len(chosen) > _MOST_AT_ONCE:
            messages.error(request, f"Nothing was done: choose {_MOST_AT_ONCE:,} runs at most.")
            return None
        choice = choose(chosen)
        if choice.runs:
            return choice
        for sentence in several.left_in_words(choice.left):
            messages.warning(request, sentence)
        return None


def _confirmation(
    request: HttpRequest, choice: Choice, action: str, label: str, numbers: list[str]
) -> HttpResponseBase:
    the_list = reverse("admin:migrations_app_run_changelist")
    return page(
        request,
        "pages/runs_at_once.html",
        f"{label} {counted(len(choice.runs), 'run')}",
        crumbs=[("Runs", the_list)],
        model=Run,
        action=action,
        label=label,
        numbers=[*numbers, *several.left_in_words(choice.left)],
        shown=choice.runs[:_SHOWN],
        more=max(0, len(choice.runs) - _SHOWN),
        ids=" ".join(str(run.pk) for run in choice.runs),
        back=request.get_full_path(),
    )


def _stop_in_numbers(choice: Choice) -> list[str]:
    found = choice.runs
    queued = sum(run.state == RunState.QUEUED for run in found)
    running = len(found) - queued
    dumps = sum(run.state == RunState.RUNNING and run.plan.get("mode") == "dumping" for run in found)
    sentences = []
    if running:
        read = sum(run.read for run in found)
        sentences.append(
            f"{counted(running, 'run that works ends', 'runs that work end')} within seconds, at the last commit. What"
            f" was committed stays, {counted(read, 'row')} read so far, and the next run of the stream goes on there."
        )
    if dumps:
        sentences.append(
            f"{counted(dumps, 'of them takes', 'of them take')} a snapshot: one that is not whole leaves nothing, and"
            " the next run takes a new one."
        )
    if queued:
        sentences.append(f"{counted(queued, 'run', 'runs')} in the queue {'does' if queued == 1 else 'do'} not begin.")
    sentences.append("None of them is resumed by itself; schedules go on.")
    return sentences


def _retry_in_numbers(choice: Choice) -> list[str]:
    found = choice.runs
    new = counted(len(found), "new run is", "new runs are")
    mappings = counted(choice.mapping_count, "mapping")
    sentences = [f"{new} queued, one for each stream, of {mappings}. Each goes on from where its stream is now."]
    if backfills := sum(run.is_backfill for run in found):
        sentences.append(f"{counted(backfills, 'of them reads', 'of them read')} the range of a backfill again.")
    if approved := [run.allow_deletes for run in found if run.allow_deletes is not None]:
        sentences.append(
            f"{counted(len(approved), 'of them has', 'of them have')} approved deletions,"
            f" {counted(sum(approved), 'row')} in all, which are approved for the new run too."
        )
    if recovered := several.succeeded_since(found):
        sentences.append(
            f"{counted(recovered, 'of the streams has', 'of the streams have')} had a run that succeeded since, and"
            f" {'is' if recovered == 1 else 'are'} run all the same."
        )
    return sentences


def _posted_runs(request: HttpRequest) -> list[Run]:
    ids = []
    for text in request.POST.get("runs", "").split():
        try:
            ids.append(uuid.UUID(text))
        except ValueError:
            continue
    if not ids or len(ids) > _MOST_AT_ONCE:
        message = f"Nothing was done: choose runs in the list, {_MOST_AT_ONCE:,} at most."
        raise Refused(message)
    return list(_whole(Run.objects.filter(pk__in=ids)))


def _whole(queryset: Any) -> Any:
    """With everything that is asked of them here; the list defers it."""
    return queryset.select_related("stream__mapping").defer(None).defer("trace", "warnings", "counters")


def _tell(request: HttpRequest, choice: Choice, outcome: Outcome) -> None:
    """Say why nothing was done to some; where nothing was done to any, as a refusal."""
    problems = [*several.left_in_words(choice.left), *outcome.problems]
    for sentence in problems[:_PROBLEMS]:
        messages.warning(request, sentence)
    if (more := len(problems) - _PROBLEMS) > 0:
        messages.warning(request, f"{more:,} others were left alone too.")
    if not outcome.done:
        message = "Nothing was done."
        raise Refused(message)
