"""What people do to a mapping as a whole: each by POST, with a permission, answered by a sentence."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse

from connectors.wording import counted
from migrations_app import starting
from migrations_app.admin.auditing import records_itself
from migrations_app.admin.posting import Done, Refused, posted
from migrations_app.admin.refusing import refusing
from migrations_app.admin.selected import each_of
from migrations_app.admin.stream_actions import RUN, name_of, refuse_unless_startable, stop_streams
from migrations_app.models import Mapping, Stream
from migrations_app.verbs import checking, cloning, pausing


class MappingActions:
    """Actions of the admin class of mappings."""

    def page_of(self, request: HttpRequest, row: Mapping) -> str:  # noqa: ARG002 - the kit's signature
        """After an action people look at the overview, not at the form."""
        return reverse("admin:migrations_app_mapping_see_overview", args=(row.pk,))

    @posted(RUN, reaches_out=True)
    def run(self, request: HttpRequest, mapping: Mapping) -> str:
        """Run all its streams now."""
        refuse_unless_startable(mapping)
        return starting.start(mapping, requested_by=name_of(request.user))

    @posted(RUN)
    def stop(self, request: HttpRequest, mapping: Mapping) -> str:  # noqa: ARG002 - as all actions
        """End its runs at their last commit."""
        stopped = stop_streams(mapping=mapping.pk)
        if not stopped:
            message = f"No stream of {mapping} has a run to stop."
            raise Refused(message)
        noun = "run stops" if stopped == 1 else "runs stop"
        return f"{stopped} {noun} within seconds, at the last commit."

    @posted(RUN)
    def disable(self, request: HttpRequest, mapping: Mapping) -> Done:  # noqa: ARG002 - as all actions
        """Schedule nothing of it."""
        if not mapping.enabled:
            message = f"{mapping} is disabled already."
            raise Refused(message)
        pausing.pause(mapping)
        said = f"Nothing of {mapping} is scheduled any more. What runs goes on to its end."
        return Done(said, before={"enabled": True}, after={"enabled": False})

    @posted(RUN)
    def enable(self, request: HttpRequest, mapping: Mapping) -> Done:  # noqa: ARG002 - as all actions
        """Schedule it again, but for the streams that are paused by themselves."""
        if mapping.enabled:
            message = f"{mapping} is enabled already."
            raise Refused(message)
        pausing.enable(mapping)
        paused = Stream.objects.filter(mapping=mapping, active=True, paused=True).count()
        rest = f" {paused} of its streams stay paused by themselves; resume all to schedule them too." if paused else ""
        said = f"{mapping} is scheduled again.{rest}"
        return Done(said, before={"enabled": False}, after={"enabled": True})

    @posted(RUN)
    def resume_all(self, request: HttpRequest, mapping: Mapping) -> Done:  # noqa: ARG002 - as all actions
        """Schedule all of it again, streams that were paused by themselves included."""
        paused = Stream.objects.filter(mapping=mapping, paused=True).count()
        if mapping.enabled and not paused:
            message = f"Nothing of {mapping} is paused."
            raise Refused(message)
        was = mapping.enabled
        pausing.resume(mapping)
        said = f"{mapping} and all its streams are scheduled again."
        before = {"enabled": was, "paused streams": paused}
        return Done(said, before=before, after={"enabled": True, "paused streams": 0})

    @posted(RUN, reaches_out=True)
    def verify(self, request: HttpRequest, mapping: Mapping) -> str:
        """Compare both ends of all its streams, in one process."""
        refuse_unless_startable(mapping)
        with refusing():
            begun = starting.start_checks(mapping, requested_by=name_of(request.user))
        if not begun:
            message = f"{mapping} has no stream to compare; run it first, or wait for the data checks that go on."
            raise Refused(message)
        streams = counted(begun, "stream")
        return f"The data check of {streams} has begun, one after the other; each stream's page shows its result."

    @posted(RUN)
    def cancel_checks(self, request: HttpRequest, mapping: Mapping) -> str:
        """End the data checks of its streams, those that wait for their turn too."""
        with refusing():
            cancelled = checking.cancel(Q(mapping=mapping.pk), name_of(request.user))
        noun = "data check ends" if cancelled == 1 else "data checks end"
        return f"{cancelled} {noun} within seconds; what is read at both ends is given up."

    @posted("migrations_app.add_mapping")
    def clone(self, request: HttpRequest, mapping: Mapping) -> Done:
        """Make a mapping that says the same; it is disabled."""
        new_id = request.POST.get("new_id", "").strip()
        with refusing():
            made = cloning.clone(mapping, new_id)
        for warning in made.warnings:
            messages.warning(request, warning)
        to = reverse("admin:migrations_app_mapping_change", args=(made.mapping.pk,))
        said = f"{made.mapping} says what {mapping} says. It is disabled, and nothing of it has run."
        return Done(said, to=to, details={"new mapping": made.mapping.pk})

    @records_itself
    @admin.action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: Any) -> None:
        """Run the selected mappings: by the workers, or without one each in a process of its own."""

        def run(mapping: Mapping) -> str:
            refuse_unless_startable(mapping)
            return f"{starting.start(mapping, requested_by=name_of(request.user))} Its runs appear under Runs."

        each_of(request, queryset, "run", run, reaches_out=True)

    @records_itself
    @admin.action(description="Pause", permissions=["run"])
    def pause(self, request: HttpRequest, queryset: Any) -> None:
        """Schedule nothing of the selected mappings, wherever they are kept."""

        def pause(mapping: Mapping) -> str:
            pausing.pause(mapping)
            return f"{mapping} is not scheduled any more."

        each_of(request, queryset, "disable", pause)

    @records_itself
    @admin.action(description="Resume", permissions=["run"])
    def resume(self, request: HttpRequest, queryset: Any) -> None:
        """Schedule the selected mappings and all their streams again."""

        def resume(mapping: Mapping) -> str:
            pausing.resume(mapping)
            return f"{mapping} and all its streams are scheduled again."

        each_of(request, queryset, "resume_all", resume)
