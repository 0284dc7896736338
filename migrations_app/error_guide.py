"""What each class of error means to an operator: which side it came from, what happened, what to do.

For people who may not see the message of a run's error, which can name the key of a row, and for filters: nobody has to
look through all runs to know which classes there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """Where the cause lies."""

    SOURCE = "the source"
    DESTINATION = "the destination"
    MAPPING = "the mapping or the settings"
    DATA = "a value of the data"
    SERVICE = "this service"


@dataclass(frozen=True, slots=True)
class Guide:
    """One class of errors, for people.

    Attributes:
        side: Where the cause lies.
        cause: What happened.
        remedy: What to do next.
    """

    side: Side
    cause: str
    remedy: str


_GUIDES: dict[str, Guide] = {
    "ConfigError": Guide(
        Side.MAPPING,
        "The mapping or the settings ask for something that cannot work.",
        "Change what the message names, then run it again.",
    ),
    "MappingError": Guide(
        Side.MAPPING,
        "The mapping or the settings are not valid.",
        "Correct the fields that the message names.",
    ),
    "SecretUnreadableError": Guide(
        Side.MAPPING,
        "A stored secret was sealed with a key that this installation no longer has.",
        "Enter the secret anew, or bring the old key back into DMS_SECRET_KEYS.",
    ),
    "SourceError": Guide(
        Side.SOURCE,
        "The source's data or structure does not allow the run.",
        "Look at what the message says of the table, then put it right at the source or in the mapping.",
    ),
    "SourceUnavailable": Guide(
        Side.SOURCE,
        "The source cannot be reached, is restarting, or cut the connection.",
        "Test the source's connection; when it is up again, run it again.",
    ),
    "SourceAuthFailed": Guide(
        Side.SOURCE,
        "The source refused the credentials, or they lack a right.",
        "Correct the credentials of the source, or grant the right that the message names.",
    ),
    "StreamNotFound": Guide(
        Side.SOURCE,
        "The table, collection, topic or a column that the mapping names is not at the source.",
        "Discover the source, and correct the name in the mapping.",
    ),
    "DestinationError": Guide(
        Side.DESTINATION,
        "The destination refuses to take what is written.",
        "Look at what the message names at the destination: constraints, rights, disk.",
    ),
    "DestinationUnavailable": Guide(
        Side.DESTINATION,
        "The destination cannot be reached, is restarting, or cut the connection.",
        "Test the destination's connection; when it is up again, run it again.",
    ),
    "DestinationAuthFailed": Guide(
        Side.DESTINATION,
        "The destination refused the credentials, or they lack a right.",
        "Correct the credentials of the destination, or grant the right that the message names.",
    ),
    "SchemaMismatch": Guide(
        Side.DESTINATION,
        "The destination's table and the source's columns do not fit each other.",
        "Do what the message says of the column: change its type at the destination, or leave it out.",
    ),
    "Fenced": Guide(
        Side.SERVICE,
        "A newer run has taken over this stream, and what this one had open was rolled back.",
        "Nothing: the newer run goes on.",
    ),
    "ValueNotRepresentable": Guide(
        Side.DATA,
        "One value has no exact form in the destination's type.",
        "Change the value at the source, widen the column at the destination, or leave the column out.",
    ),
    "DeleteRefused": Guide(
        Side.DESTINATION,
        "Mirroring would delete more rows than its guard lets through; nothing was deleted.",
        "See whether the source lost these rows by mistake. If not, approve the deletions for one run.",
    ),
    "Stopped": Guide(
        Side.SERVICE,
        "The run was asked to stop; what was committed stands.",
        "Run it again to go on.",
    ),
    "MemoryError": Guide(
        Side.SERVICE,
        "Memory ran out in the run's process.",
        "Give the host more memory, or fewer DMS_RUN_WORKERS.",
    ),
    "OperationalError": Guide(
        Side.SERVICE,
        "The control database could not be asked.",
        "See that the control database is up, then run it again.",
    ),
    "InterfaceError": Guide(
        Side.SERVICE,
        "The connection to the control database was lost.",
        "See that the control database is up, then run it again.",
    ),
    "SystemExit": Guide(
        Side.SERVICE,
        "The run's process was ended from outside.",
        "Run it again to go on from its last commit.",
    ),
}
_UNEXPECTED = Guide(
    Side.SERVICE,
    "Something unforeseen happened in this service.",
    "Send the diagnostics to whoever maintains it; the log of the process has the traceback.",
)
#: Every class that has an entry, for filters.
KNOWN = tuple(sorted(_GUIDES))


def guide_of(error_class: str) -> Guide:
    """What the class means; one without an entry is a defect of ours."""
    return _GUIDES.get(error_class, _UNEXPECTED)
