"""Runs: one execution of one stream, its log and what it shows of itself. Only migrations_app/runs.py changes a run."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from migrations_app import enums
from migrations_app.models.streams import Stream


class Run(models.Model):
    """One execution of one stream. Triggering a mapping makes one run a stream, under one trigger id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="runs")
    resumes = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="resumed_by")

    trigger_id = models.UUIDField(default=uuid.uuid4, db_index=True)
    trigger = models.CharField(max_length=20, choices=enums.trigger_kinds)
    requested_by = models.CharField(max_length=150, blank=True)
    request = models.JSONField(default=dict, blank=True, help_text="What was asked for: a backfill's range.")
    plan = models.JSONField(default=dict, blank=True, help_text="The plan it ran by, without secrets.")
    allow_deletes = models.BigIntegerField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, help_text="The time of the schedule that it was started for.")
    supervised = models.BooleanField(default=False, help_text="True when a worker runs it, not a command.")
    attempt = models.PositiveSmallIntegerField(
        default=0, help_text="How many runs before it, in a row, were resumed without having come further."
    )
    resume_at = models.DateTimeField(null=True, blank=True, help_text="When a new run is to go on where it ended.")

    state = models.CharField(max_length=20, choices=enums.run_states, default=enums.RunState.QUEUED)
    phase = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    lease_epoch = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    owner_host = models.CharField(max_length=255, blank=True)
    owner_boot_id = models.CharField(max_length=64, blank=True)
    owner_pid = models.IntegerField(null=True, blank=True)
    owner_started = models.CharField(
        max_length=64, blank=True, help_text="When the owner's process started; tells a reused pid apart."
    )

    stop_requested = models.BooleanField(default=False)
    stop_reason = models.CharField(max_length=20, choices=enums.stop_reasons, blank=True)

    reason = models.TextField(blank=True, help_text="Why it is in its state, for people.")
    error_class = models.CharField(max_length=100, blank=True)
    error_message = models.TextField(blank=True)
    trace = models.TextField(
        blank=True, help_text="Where it failed: types of errors and lines of code, without what they said."
    )

    read = models.BigIntegerField(default=0)
    inserted = models.BigIntegerField(default=0)
    updated = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0)
    byte_count = models.BigIntegerField(default=0)
    rows_expected = models.BigIntegerField(null=True, blank=True)
    warnings = models.JSONField(default=list, blank=True)
    counters = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("state", "lease_until"), name="run_state_lease"),
            models.Index(fields=("resume_at",), condition=Q(resume_at__isnull=False), name="run_resume"),
            # All that the charts of the home page add up, so that 200,000 runs are read from the index alone. A run
            # enters it when it ends, so that commits on the way change nothing here.
            models.Index(
                fields=("state", "finished_at", "inserted", "updated", "deleted", "byte_count"),
                condition=Q(finished_at__isnull=False),
                name="run_history",
            ),
            # The same for the streams of one mapping, with how long they took.
            models.Index(
                fields=("stream", "finished_at", "state", "started_at", "inserted", "updated", "deleted"),
                condition=Q(finished_at__isnull=False),
                name="run_stream_history",
            ),
            # How the last run of each stream ended: asked of all streams at once when all of them fail.
            models.Index(fields=("stream", "-created_at"), name="run_of_stream"),
            # The list, newest first, as a whole and by what people look for in it.
            models.Index(fields=("-created_at", "-id"), name="run_newest"),
            models.Index(fields=("state", "-created_at", "-id"), name="run_state_newest"),
            models.Index(
                fields=("error_class", "-created_at", "-id"), condition=~Q(error_class=""), name="run_error_newest"
            ),
            # The last runs of a stream, and those that say how long one usually takes.
            models.Index(fields=("stream", "state", "-created_at"), name="run_stream_state_newest"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("stream",),
                condition=Q(state__in=[state.value for state in enums.ACTIVE_STATES]),
                name="one_active_run_per_stream",
            ),
        )

    def __str__(self) -> str:
        return f"{self.stream_id} {self.state} {self.id}"

    @property
    def is_backfill(self) -> bool:
        """Whether it reads a range again, and not what is due."""
        return self.trigger == enums.TriggerKind.BACKFILL

    @property
    def seconds(self) -> float | None:
        """How long it has run, or ran."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()


class RunProgress(models.Model):
    """What a run shows of itself while it works, and its last commits. Nothing but what people look at follows from it.

    A row of its own, so that lists of runs do not carry it; one for each run, and not one for each commit, since a run
    may have thousands. Of more than `live.KEPT_COMMITS` the oldest are left out: their sums are in the run.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="progress", primary_key=True)
    at = models.DateTimeField(help_text="When it was recorded.")
    commits = models.BigIntegerField(default=0)
    last_commits = models.JSONField(default=list, help_text="The last ones, as live.CommitRow has them.")
    phases = models.JSONField(default=list, help_text="Pairs of a phase and the unix time when it began.")
    bytes_moved = models.BigIntegerField(default=0, help_text="With those that are not committed yet.")
    rows_before = models.BigIntegerField(
        null=True, help_text="Rows of an unfinished first copy that earlier runs brought; unknown for other runs."
    )
    rows_per_s = models.FloatField(null=True, help_text="Over the last commits.")
    bytes_per_s = models.FloatField(null=True, help_text="Over the last seconds.")
    lower = models.TextField(blank=True, help_text="From where it reads; may name a key.")
    upper = models.TextField(blank=True)
    altered = models.JSONField(default=dict, help_text="What became of columns, by name.")
    uncast = models.JSONField(
        default=dict, help_text="Keys of a few rows whose value could not be cast, by the column's name."
    )

    def __str__(self) -> str:
        return f"progress of {self.run_id}"


class RunEvent(models.Model):
    """A line of a run's log: a commit, a warning, an outcome."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=10, choices=enums.event_levels, default=enums.EventLevel.INFO)
    message = models.TextField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.level}: {self.message}"
