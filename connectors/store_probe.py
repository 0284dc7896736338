"""The connection test of a store: can it be reached, and may the user write to it?"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from pymongo.errors import PyMongoError

from connectors import steps as tests
from connectors.mapping import Store
from connectors.mongo_servers import servers_of
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, tell_nobody
from connectors.stores import MongoStore
from connectors.verbs import Step

#: For each step; all of them together have `steps.TEST_WITHIN_S`.
_TIMEOUT_S = 5.0
_CLOCK_TOLERANCE_S = 30.0


def probe_store(name: str, config: Store, tell: Tell = tell_nobody) -> list[Step]:
    """Test a store; ends with the first step that fails, and leaves no document behind.

    Args:
        name: The setting that it comes from, such as ``encryption_store``.
        config: Where it is; resolved: without references.
        tell: Told of the steps while they are taken.
    """
    probe = _Probe(name, config)
    checks = {
        "resolve": probe.resolve,
        "connect": probe.connect,
        "sign in": probe.sign_in,
        "clock": probe.clock,
        "write and delete": probe.write_and_delete,
    }
    try:
        return tests.take_steps(checks, [], tell=tell)
    finally:
        tests.clear_away(probe.close)


class _Probe:
    """One test under way."""

    def __init__(self, name: str, config: Store) -> None:
        self._name = name
        self._config = config
        self._servers: list[tuple[str, int, list[str]]] = []
        self._store: MongoStore | None = None
        self._clock_s = 0.0

    def resolve(self) -> Finding:
        """Every server of the address; one that is known suffices, as it names the others."""
        url = self._config.url.get_secret_value()
        try:
            servers = servers_of(url if "://" in url else f"mongodb://{url}", _TIMEOUT_S)
        except PyMongoError:
            # Its text can quote the address, which may hold a password.
            return FAILED, (
                f"{self._name}.url is no address of MongoDB, or its SRV record cannot be looked up; give it as in"
                " mongodb://user:password@host:27017"
            )
        looked_up = [(host, port, tests.resolve(host, port, f"check {self._name}.url")) for host, port in servers]
        self._servers = [(host, port, addresses) for host, port, (_, addresses) in looked_up if addresses]
        return tests.together([finding for _, _, (finding, _) in looked_up])

    def connect(self) -> Finding:
        remedy = f"check {self._name}.url and firewalls"
        found = [tests.connect(host, port, known, _TIMEOUT_S, remedy) for host, port, known in self._servers]
        return tests.together(found)

    def sign_in(self) -> Finding:
        config = self._config
        self._store = MongoStore(self._name, config.url, config.db_name, config.collection_name, timeout_s=_TIMEOUT_S)
        before = datetime.now(UTC)
        clock = self._store.sign_in()
        after = datetime.now(UTC)
        self._clock_s = abs((clock - before - (after - before) / 2).total_seconds())
        return OK, f"signed in; {config.db_name}.{config.collection_name} can be read"

    def clock(self) -> Finding:
        detail = f"the server's clock differs from this host's by {self._clock_s:.1f} s"
        if self._clock_s > _CLOCK_TOLERANCE_S:
            return WARNING, f"{detail}; times in the store come from the hosts that write: keep both clocks by NTP"
        return OK, detail

    def write_and_delete(self) -> Finding:
        assert self._store is not None  # noqa: S101 - for mypy; the steps come in their order
        if not self._store.write_and_delete(f"connection_test:{uuid.uuid4()}"):
            return WARNING, (
                "a document was written and could not be read; let the address read from the primary"
                " (readPreference=primary)"
            )
        return OK, "a document was written, read and deleted"

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
