"""The connection test of a MongoDB source: can it be reached, and may the user read what the mapping asks for?"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import partial

from connectors import steps as tests
from connectors.base import Options, Step
from connectors.errors import ConnectorError
from connectors.mapping import CollectionSpec, Mode, MongoSource
from connectors.mongo_servers import servers_of
from connectors.sources.mongo import looking
from connectors.sources.mongo.errors import mapped
from connectors.sources.mongo.session import Session, client_arguments
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, tell_nobody
from connectors.wording import counted

_CLOCK_TOLERANCE_S = 30.0
#: Of `hello`: MongoDB 4.4.
_OLDEST_WIRE = 9


def probe(
    config: MongoSource,
    specs: Sequence[CollectionSpec],
    *,
    label: str,
    options: Options,
    tell: Tell = tell_nobody,
) -> list[Step]:
    """Test a source; ends with the first step that fails, but looks at every collection.

    Args:
        config: Resolved: without references.
        specs: The collections that are to be read.
        label: Who asks, for errors.
        options: Timeouts.
        tell: Told of the steps while they are taken.
    """
    return _Probe(config, label, options).run(specs, tell)


class _Probe:
    """One test under way."""

    def __init__(self, config: MongoSource, label: str, options: Options) -> None:
        self._config = config
        self._label = label
        self._options = options
        self._session = Session(config, label, options)
        self._servers: list[tuple[str, int, list[str]]] = []

    def run(self, specs: Sequence[CollectionSpec], tell: Tell) -> list[Step]:
        session = self._session
        steps: list[Step] = []
        last: dict[str, Callable[[], Finding]] = (
            {"collections": partial(_collections, session, specs, steps)}
            if specs
            else {"rights": partial(_rights, session)}
        )
        checks: dict[str, Callable[[], Finding]] = {
            "resolve": self._resolve,
            "connect": self._connect,
            "TLS": partial(_tls, self._config, self._options),
            "sign in": self._sign_in,
            "version": partial(_version, session),
            "role": partial(_role, session),
            "clock": partial(_clock, session),
            **last,
        }
        try:
            return tests.take_steps(checks, steps, leave=session.cancel, tell=tell)
        finally:
            session.close()

    def _resolve(self) -> Finding:
        """Every server of the address; one that is known suffices, as it names the others."""
        timeout_s = self._options.connect_timeout_s
        with mapped(self._label):
            servers = servers_of(str(client_arguments(self._config, self._options)["host"]), timeout_s)
        looked_up = [(host, port, tests.resolve(host, port, "check `url`")) for host, port in servers]
        self._servers = [(host, port, addresses) for host, port, (_, addresses) in looked_up]
        return tests.together([finding for _, _, (finding, _) in looked_up])

    def _connect(self) -> Finding:
        timeout_s = self._options.connect_timeout_s
        return tests.together(
            [
                tests.connect(host, port, addresses, timeout_s, "check `url` and firewalls")
                for host, port, addresses in self._servers
                if addresses
            ]
        )

    def _sign_in(self) -> Finding:
        self._session.open()
        return OK, f"connected to database {self._config.db_name}"


def _tls(config: MongoSource, options: Options) -> Finding:
    arguments = client_arguments(config, options)
    url = str(arguments["host"])
    if not (arguments.get("tls") or "tls=true" in url or "ssl=true" in url or url.startswith("mongodb+srv://")):
        return WARNING, "the connection is not encrypted; add tls=true to `url`, or set `certificate_file`"
    if "tlsInsecure=true" in url or "tlsAllowInvalidCertificates=true" in url:
        return WARNING, "the server's certificate is not checked; take that option out of `url`"
    return OK, f"encrypted ({ssl.OPENSSL_VERSION}), and the server's certificate is checked at signing in"


def _version(session: Session) -> Finding:
    version = str(session.call(lambda: session.database.client.admin.command("buildInfo")["version"]))
    if session.hello.get("maxWireVersion", 0) < _OLDEST_WIRE:
        return WARNING, f"MongoDB {version}; 4.4 and newer were tried"
    return OK, f"MongoDB {version}"


def _role(session: Session) -> Finding:
    hello = session.hello
    if hello.get("secondary"):
        return OK, f"a secondary of {hello.get('setName')}: what it has not got yet is read by the next run"
    if "setName" in hello:
        return OK, f"the primary of {hello['setName']}; readPreference=secondary in `url` spares it"
    if hello.get("msg") == "isdbgrid":
        return OK, "a router of a sharded cluster"
    return OK, "a single server, which has no snapshots: a dump takes documents as they are when it comes to them"


def _clock(session: Session) -> Finding:
    session.now()
    detail = f"the server's clock differs from this host's by {session.clock_difference_s:.1f} s"
    if session.clock_difference_s > _CLOCK_TOLERANCE_S:
        return WARNING, f"{detail}; that much is read again in every run, since ids and bookmarks go by other clocks"
    return OK, detail


def _rights(session: Session) -> Finding:
    """Without a mapping nobody knows which collections will be read."""
    names = session.call(session.database.list_collection_names)
    names = sorted(name for name in names if not name.startswith("system."))
    if not names:
        return WARNING, "the user sees no collections; check `db_name`, and grant the role read on the database"
    session.call(lambda: session.collection(names[0]).find_one({}, {"_id": 1}))
    return OK, f"the user may list and read {counted(len(names), 'collection')}"


def _collections(session: Session, specs: Sequence[CollectionSpec], steps: list[Step]) -> Finding:
    known = session.call(session.database.list_collection_names)
    failed = 0
    for spec in specs:
        try:
            outcome, detail = _collection(session, spec, known)
        except ConnectorError as error:
            outcome, detail = FAILED, error.message
        failed += outcome == FAILED
        steps.append(Step(f"collection {spec.collection_name}", outcome, detail))
    if failed:
        return FAILED, f"{failed} of {len(specs)} cannot be read as the mapping asks for"
    return OK, f"{len(specs)} looked at"


def _collection(session: Session, spec: CollectionSpec, known: Sequence[str]) -> Finding:
    if spec.collection_name not in known:
        return FAILED, "it is not there, or the user may not see it; check `collection_name` and `db_name`"
    rows = looking.estimated_count(session, spec.collection_name)
    size = "a view" if rows is None else f"about {counted(rows, 'document')}"
    bookmark = spec.bookmark_column
    if bookmark is None or spec.mode is Mode.DUMPING or spec.improper_bookmarks or "." in bookmark:
        return OK, size
    seen, count = looking.seen_fields(session, spec.collection_name)
    dated = seen[bookmark].types["date"] if bookmark in seen else 0
    if count and dated < count:
        return WARNING, (
            f"{size}; of {count} looked at, {count - dated} have no date in `bookmark` {bookmark}, so that changes in"
            " them are not seen; set `improper_bookmarks` if it holds times in another form"
        )
    return OK, size
