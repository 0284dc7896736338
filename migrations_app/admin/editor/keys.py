"""Which keys of a spec are asked for when: by its mode, by the table it names, and by where its rows go.

What is not asked for is hidden as long as it is empty. The contract decides; a test holds this against it.
"""

from __future__ import annotations

from typing import Any

from connectors.mapping import EVERY_TABLE, DestinationType, KeyType, Mode

#: Asked first, in this order, after the name; then the schedule.
BASICS = (
    "exclude_tables",
    "mode",
    "primary_key",
    "primary_key_datatype",
    "bookmark",
    "project_name",
    "event_names",
    "start_day",
    "end_day",
)
#: How far back rows are read again, and how long old ones are kept.
LAGS = ("buffer_updation_lag", "grace_updation_lag", "expiry", "bookmark_timezone", "improper_bookmarks")

#: What each mode does, where one is chosen.
MODE_WORDS: dict[str, str] = {
    Mode.DUMPING.value: "dumping: a whole snapshot each time",
    Mode.LOGGING.value: "logging: rows that are new",
    Mode.SYNCING.value: "syncing: new and changed rows",
    Mode.MIRRORING.value: "mirroring: that, and deletions",
}

_ALL_BUT_DUMPING = [mode.value for mode in Mode if mode is not Mode.DUMPING]
_FOLLOWING = [mode.value for mode in Mode if mode.follows_updates]

#: Modes in which a key means something; keys that are not here mean something in all.
MODES: dict[str, list[str]] = {
    "primary_key": _ALL_BUT_DUMPING,
    "primary_key_datatype": _ALL_BUT_DUMPING,
    "bookmark": _ALL_BUT_DUMPING,
    "bookmark_timezone": _ALL_BUT_DUMPING,
    "improper_bookmarks": _ALL_BUT_DUMPING,
    "buffer_updation_lag": _ALL_BUT_DUMPING,
    "grace_updation_lag": _ALL_BUT_DUMPING,
    "expiry": [Mode.DUMPING.value],
    "fetch_data_query": [Mode.DUMPING.value],
    "max_delete_fraction": [Mode.MIRRORING.value],
}
#: Modes in which a key has to be there.
NEEDED: dict[str, list[str]] = {
    "primary_key": _ALL_BUT_DUMPING,
    "primary_key_datatype": _ALL_BUT_DUMPING,
    "bookmark": _FOLLOWING,
}
#: Keys that go with `*` for every table, or with one table only.
EVERY = ["exclude_tables"]
ONE = ["indexes", "fetch_data_query"]
#: Types of destination for which a key means something.
DESTINATIONS: dict[str, list[str]] = {
    "lob_fields_length": [DestinationType.REDSHIFT.value],
    "lob_fields": [DestinationType.REDSHIFT.value],
    "indexes": [DestinationType.PGSQL.value],
}


def rules_of(noun: str) -> dict[str, Any]:
    """The rules for the page's script."""
    is_table = noun == "table"
    needed = NEEDED if is_table else {"bookmark": _FOLLOWING}
    return {
        "modes": MODES if is_table else {key: modes for key, modes in MODES.items() if key != "fetch_data_query"},
        "needed": needed,
        "every": EVERY if is_table else [],
        "one": ONE if is_table else [],
        "everyName": EVERY_TABLE,
        "destinations": DESTINATIONS,
        # In logging mode new rows are found by the bookmark where keys do not grow.
        "growing": [each.value for each in KeyType if each.increases],
    }
