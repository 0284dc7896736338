"""What people do to one stream: each by POST, with a permission, answered by a sentence."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q
from django.http import HttpRequest

from connectors.wording import counted
from migrations_app import column_changes, runs, starting
from migrations_app.admin.posting import Done, Refused, posted
from migrations_app.admin.refusing import refusing
from migrations_app.enums import ACTIVE_STATES, RunState, TriggerKind
from migrations_app.models import Mapping, Run, Stream
from migrations_app.verbs import checking, pausing

RUN = "migrations_app.run_mapping"
#: No key of a row of ours has so many digits.
_LONG = 19
#: Ends of a run after which the same can be tried again.
_ENDED_BADLY = frozenset({RunState.FAILED, RunState.LOST, RunState.STOPPED})


class StreamActions:
    """Actions of the admin class of streams."""

    @posted(RUN, reaches_out=True)
    def run(self, request: HttpRequest, stream: Stream) -> str:
        """Run it now, also where it is paused."""
        return run_stream(stream, name_of(request.user))

    @posted(RUN)
    def stop(self, request: HttpRequest, stream: Stream) -> str:  # noqa: ARG002 - as all actions
        """End its run at the last commit."""
        if not stop_streams(mapping=stream.mapping_id, pk=stream.pk):
            message = f"{stream} has no run to stop."
            raise Refused(message)
        return f"The run of {stream} stops within seconds at its last commit. Run it now to go on from there."

    @posted(RUN)
    def pause(self, request: HttpRequest, stream: Stream) -> Done:  # noqa: ARG002 - as all actions
        """Schedule it no more."""
        if stream.paused:
            message = f"{stream} is paused already."
            raise Refused(message)
        pausing.pause(stream.mapping, table=stream.name, destination=stream.destination_name)
        goes_on = " The run that goes on is left to its end." if active_run(stream) else ""
        return Done(f"{stream} is not scheduled any more.{goes_on}", before={"paused": False}, after={"paused": True})

    @posted(RUN)
    def mark_seen(self, request: HttpRequest, stream: Stream) -> Done:
        """Mark changes of its columns as seen; nothing about data changes by that."""
        wanted = {
            int(each) for each in request.POST.get("change", "").split() if each.isdecimal() and len(each) < _LONG
        }
        found = column_changes.mark_seen(stream, wanted, name_of(request.user))
        if not found:
            message = "Nothing was marked: these changes have been seen already."
            raise Refused(message)
        # An error's own words can name a key.
        words = ["a column that fits no more" if change.is_refused else change.words for change in found]
        return Done(f"Marked {counted(len(found), 'change')} of columns as seen.", details={"changes": words})

    @posted(RUN)
    def resume(self, request: HttpRequest, stream: Stream) -> Done:  # noqa: ARG002 - as all actions
        """Schedule it again."""
        if not stream.paused:
            disabled = "; its mapping is disabled: enable that" if not stream.mapping.enabled else ""
            message = f"{stream} is not paused{disabled}."
            raise Refused(message)
        pausing.resume(stream.mapping, table=stream.name, destination=stream.destination_name)
        rest = (
            ""
            if stream.mapping.enabled
            else " Its mapping is disabled, so nothing of it is scheduled until you enable that."
        )
        return Done(f"{stream} is scheduled again.{rest}", before={"paused": True}, after={"paused": False})

    @posted(RUN)
    def retry(self, request: HttpRequest, stream: Stream) -> str:
        """Do once more what its last run was to do, a backfill's range and approved deletions included."""
        last = Run.objects.filter(stream=stream).order_by("-created_at").first()
        if last is None or last.state not in _ENDED_BADLY:
            message = f"The last run of {stream} did not fail; run it now instead." if last else "It has not run yet."
            raise Refused(message)
        _refuse_gone(stream)
        with refusing():
            starting.check_startable(stream.mapping)
            new = starting.retry(last, requested_by=name_of(request.user), trigger=TriggerKind.ADMIN)
        return f"Queued run {new.pk}, which does what the last one was to do."

    @posted(RUN, reaches_out=True)
    def verify(self, request: HttpRequest, stream: Stream) -> str:
        """Compare both ends, in a process of its own."""
        _refuse_gone(stream)
        with refusing():
            starting.check_startable(stream.mapping)
            starting.start_check(stream, requested_by=name_of(request.user))
        return "The data check has begun. It may take minutes; its result appears on this page."

    @posted(RUN)
    def cancel_check(self, request: HttpRequest, stream: Stream) -> str:
        """End its data check."""
        with refusing():
            checking.cancel(Q(pk=stream.pk), name_of(request.user))
        return f"The data check of {stream} ends within seconds; what it reads at both ends is given up."


def run_stream(stream: Stream, requested_by: str) -> str:
    """Run a stream now; a sentence on what happens.

    Raises:
        Refused: It cannot run now.
    """
    _refuse_gone(stream)
    if (active := active_run(stream)) is not None:
        message = f"{stream} has a run already, which is {active.state}; wait for its end, or stop it."
        raise Refused(message)
    with refusing():
        starting.check_startable(stream.mapping)
        sentence = starting.start(
            stream.mapping, table=stream.name, destination=stream.destination_name, requested_by=requested_by
        )
    return f"{stream}: {sentence}"


def stop_streams(**which: object) -> int:
    """Ask the active runs of some streams to stop; how many there were."""
    found = Run.objects.filter(stream__in=Stream.objects.filter(**which), state__in=ACTIVE_STATES)
    return sum(runs.request_stop(run) for run in found)


def active_run(stream: Stream) -> Run | None:
    """The run that holds the stream."""
    return Run.objects.filter(stream=stream, state__in=ACTIVE_STATES).first()


def refuse_unless_startable(mapping: Mapping) -> None:
    """Raise Refused when no run of the mapping could begin."""
    with refusing():
        starting.check_startable(mapping)


def name_of(user: AbstractBaseUser | AnonymousUser) -> str:
    """Who asks, as runs show it."""
    return user.get_username()[:150]


def _refuse_gone(stream: Stream) -> None:
    if not stream.active:
        message = (
            f"{stream} is no longer part of its mapping; put its table or destination back into the mapping first."
        )
        raise Refused(message)
