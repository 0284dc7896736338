"""The control plane's own closed sets of words, and the choices that forms offer.

Choices are functions, so that a new kind of source or a new state needs no Django migration.
"""

from __future__ import annotations

from enum import StrEnum

from connectors.mapping import DestinationType, KeyType, Mode, SourceType
from connectors.mapping.mapping import SPECS

Choices = list[tuple[str, str]]


class Noun(StrEnum):
    """What a spec describes, by the kind of its source."""

    TABLE = "table"
    COLLECTION = "collection"
    TOPIC = "topic"
    API = "api"

    @classmethod
    def of_source(cls, source_type: str) -> Noun:
        """What the specs of a mapping with this kind of source describe."""
        return cls(SPECS[SourceType(source_type)].noun)

    @property
    def plural(self) -> str:
        """The key of the mapping that holds the specs."""
        return f"{self.value}s"

    @property
    def name_key(self) -> str:
        """The key of a spec that holds its name."""
        return f"{self.value}_name"


class RunState(StrEnum):
    """Where a run stands. Only runs.py changes it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: Ended early at its last commit, and can go on from there.
    STOPPED = "stopped"
    #: Its process went silent; what it had committed stands.
    LOST = "lost"

    @property
    def is_active(self) -> bool:
        """True while the run holds its stream."""
        return self in ACTIVE_STATES


ACTIVE_STATES = (RunState.QUEUED, RunState.RUNNING)


class TriggerKind(StrEnum):
    """Who asked for a run."""

    CLI = "cli"
    ADMIN = "admin"
    API = "api"
    SCHEDULE = "schedule"
    BACKFILL = "backfill"


class StopReason(StrEnum):
    """Why a run stopped early: it decides when the run goes on."""

    CUT_OFF = "cut_off"
    SIGTERM = "sigterm"
    DRAIN = "drain"
    PARENT_DIED = "parent_died"
    OPERATOR = "operator"


class EventLevel(StrEnum):
    """How much a line of a run's log matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class OutboxKind(StrEnum):
    """What an outbox entry is to tell, and to whom."""

    #: The last record that the stream has written, to encryption_store.
    LAST_RECORD = "last_record"
    #: The stream's last successful run, to encryption_store.
    LAST_RUN = "last_run"
    #: The run's document, to dashboard_store.
    RUN = "run"
    #: What became of a run, to a Slack channel.
    SLACK = "slack"
    #: The same, to the installation's webhook.
    WEBHOOK = "webhook"


class Door(StrEnum):
    """By which door a change came."""

    ADMIN = "admin"
    API = "api"
    COMMAND = "command"


class CheckTag(StrEnum):
    """Which system checks a command looks at when it starts."""

    #: What a worker cannot work without.
    WORKER = "worker"


class RoleName(StrEnum):
    """What people are here for; `migrations_app.roles` says what each may do. Groups are called so."""

    VIEWER = "Viewer"
    OPERATOR = "Operator"
    EDITOR = "Editor"
    CONNECTION_ADMIN = "Connection admin"
    ADMIN = "Admin"


class TwoFactor(StrEnum):
    """Who has to sign in with a second factor; others may."""

    NONE = "none"
    #: Whoever may change users.
    ADMINS = "admins"
    ALL = "all"


class Scope(StrEnum):
    """What a token of the API may do. Nothing follows from anything else: writing does not include reading."""

    MAPPING_READ = "mapping:read"
    MAPPING_WRITE = "mapping:write"
    #: Sources and destinations by themselves, and what is in them.
    CONNECTION_READ = "connection:read"
    CONNECTION_WRITE = "connection:write"
    CONNECTION_TEST = "connection:test"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"
    RUN_READ = "run:read"
    RUN_WRITE = "run:write"
    #: Checkpoints, which may hold the last key of a row.
    STATE_READ = "state:read"
    STATE_WRITE = "state:write"
    #: Rows themselves.
    DATA_READ = "data:read"


#: Names for the scopes that usually go together.
SCOPE_SETS: dict[str, tuple[Scope, ...]] = {
    "ci": (Scope.MAPPING_READ, Scope.MAPPING_WRITE, Scope.CONNECTION_TEST, Scope.RUN_READ, Scope.RUN_WRITE),
    "read": (Scope.MAPPING_READ, Scope.CONNECTION_READ, Scope.SETTINGS_READ, Scope.RUN_READ, Scope.STATE_READ),
    "all": tuple(Scope),
}


def _choices(words: type[StrEnum]) -> Choices:
    return [(word.value, word.value) for word in words]


def source_types() -> Choices:
    """Kinds of sources."""
    return _choices(SourceType)


def destination_types() -> Choices:
    """Kinds of destinations."""
    return _choices(DestinationType)


def modes() -> Choices:
    """Modes of a spec."""
    return _choices(Mode)


def key_types() -> Choices:
    """Types of a primary key."""
    return _choices(KeyType)


def nouns() -> Choices:
    """What specs describe."""
    return _choices(Noun)


def run_states() -> Choices:
    """States of a run."""
    return _choices(RunState)


def trigger_kinds() -> Choices:
    """Who may ask for a run."""
    return _choices(TriggerKind)


def stop_reasons() -> Choices:
    """Why a run may stop early."""
    return _choices(StopReason)


def event_levels() -> Choices:
    """Levels of a run's log."""
    return _choices(EventLevel)


def outbox_kinds() -> Choices:
    """Kinds of outbox entries."""
    return _choices(OutboxKind)


def doors() -> Choices:
    """By which doors changes come."""
    return _choices(Door)


def scopes() -> Choices:
    """What a token may do."""
    return _choices(Scope)
