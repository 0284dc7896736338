"""Hypothesis strategies for documents that keep the contract and use every key of it.

They give the documented dictionaries, in which every optional key either is missing or differs from its default.
"""

from typing import Any

import pytz
from hypothesis import strategies as st

from connectors.mapping import FieldType, KeyType, PartitionFormat, SaslMechanism, SecurityProtocol, SslMode
from connectors.mapping.fields import has_userinfo

Raw = dict[str, Any]

# Surrogates have no UTF-8 form, and NEL and its kin are line breaks to YAML's escaping only.
_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs"), max_codepoint=0x1FFFF)

words = st.text(_CHARACTERS, min_size=1, max_size=8)
plain_words = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)
variables = st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True)
references = variables.map("env:{}".format)
references_with_default = st.builds("env:{}:-{}".format, variables, plain_words)
texts = words | st.builds("{} {}".format, words, words) | references | references_with_default
"""Text where a reference may stand."""
secrets = references
hosts = st.from_regex(r"[a-z][a-z0-9]{0,5}(\.[a-z]{1,4}){0,2}", fullmatch=True)
ports = st.integers(1, 65535)
counts = st.integers(1, 10**6).filter(lambda count: count != 10000)
zones = st.sampled_from(sorted(pytz.all_timezones_set - {"Asia/Kolkata"}))
functions = st.lists(plain_words, min_size=2, max_size=4).map(".".join)
booleans_set = st.just(True)


def columns(prefix: str) -> st.SearchStrategy[str]:
    """Column names that start with a letter of their own, so that those of different roles never clash."""
    return words.map(lambda word: f"{prefix}{word}")


def one_or_more(prefix: str) -> st.SearchStrategy[str | list[str]]:
    """A column, or a list of different ones."""
    return columns(prefix) | st.lists(columns(prefix), min_size=1, max_size=3, unique=True)


def keyed(values: st.SearchStrategy[Any], prefix: str = "f") -> st.SearchStrategy[Raw]:
    """A dictionary by column that is not empty."""
    return st.dictionaries(columns(prefix), values, min_size=1, max_size=3)


def servers(prefix: str) -> st.SearchStrategy[Raw]:
    """Where a PostgreSQL server is; two prefixes never give the same database."""
    database = {"db_name": plain_words.map(lambda word: f"{prefix}{word}")}
    alone = {"url": hosts | references | hosts.map("postgresql://{}".format)}
    with_port = {"url": st.builds("{}:{}".format, hosts, ports) | references_with_default}
    return st.fixed_dictionaries(database | alone, optional={"port": ports}) | st.fixed_dictionaries(
        database | with_port
    )


_tls = {"sslmode": st.sampled_from(SslMode).map(str), "certificate_file": texts}
_login = {"username": texts, "password": secrets}


def _merged(*parts: st.SearchStrategy[Raw]) -> st.SearchStrategy[Raw]:
    return st.tuples(*parts).map(lambda each: {key: value for part in each for key, value in part.items()})


def _source(source_type: str, required: Raw, optional: Raw) -> st.SearchStrategy[Raw]:
    return st.fixed_dictionaries({"source_type": st.just(source_type), **required}, optional=optional)


_urls = references | hosts.map("mongodb://{}".format)
sources: dict[str, st.SearchStrategy[Raw]] = {
    "pgsql": _merged(_source("pgsql", {}, _login | _tls | {"primary_url": hosts | references}), servers("src")),
    "mongo": _source("mongo", {"url": _urls, "db_name": plain_words}, _login | {"certificate_file": texts}),
    "kafka": _source(
        "kafka",
        {"kafka_server": texts, "db_name": plain_words, "consumer_group_id": texts},
        {
            "kafka_username": texts,
            "kafka_password": secrets,
            "security_protocol": st.sampled_from(SecurityProtocol).map(str),
            "sasl_mechanism": st.sampled_from(SaslMechanism).map(str),
            "certificate_file": texts,
        },
    ),
    "api": _source("api", {"db_name": plain_words}, _login | {"url": _urls, "token": secrets}),
}

_endpoints = texts.filter(lambda text: not has_userinfo(text))
_store_access = st.fixed_dictionaries(
    {}, optional={"endpoint_url": _endpoints, "region": texts}
) | st.fixed_dictionaries({"access_key_id": secrets, "secret_access_key": secrets}, optional={"session_token": secrets})
_buckets = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,9}[a-z0-9]", fullmatch=True) | references
_schemas = words | references


@st.composite
def destinations(draw: st.DrawFn) -> Raw:
    """Destinations by name, of which no two write to the same place."""
    result: Raw = {}
    for position in range(draw(st.integers(0, 3))):
        # Without "_" in it, so that a table and a destination never join to the stream name of another pair.
        name = f"d{position}" + draw(words).replace("_", "-")
        kind = draw(st.sampled_from(["s3", "redshift", "pgsql"]))
        result[name] = {"destination_type": kind, **draw(_DESTINATIONS[kind](position))}
    return result


def _s3(position: int) -> st.SearchStrategy[Raw]:
    suffix = plain_words.map(lambda word: f"_{position}{word}")
    return _merged(st.fixed_dictionaries({"s3_bucket_name": _buckets, "s3_suffix": suffix}), _store_access)


def _redshift(position: int) -> st.SearchStrategy[Raw]:
    required = {
        "host": texts,
        "database": plain_words.map(lambda word: f"{position}{word}"),
        "user": texts,
        "password": secrets,
        "s3_bucket_name": _buckets,
    }
    optional = {
        "port": ports.filter(lambda port: port != 5439),
        "schema": _schemas,
        "iam_role": texts,
        "sslmode": _tls["sslmode"],
    }
    return _merged(st.fixed_dictionaries(required, optional=optional), _store_access)


def _pgsql(position: int) -> st.SearchStrategy[Raw]:
    optional = _tls | {"schema": _schemas, "s3_bucket_name": _buckets}
    return _merged(st.fixed_dictionaries(_login, optional=optional), servers(f"dst{position}"))


_DESTINATIONS = {"s3": _s3, "redshift": _redshift, "pgsql": _pgsql}

_steps = st.sampled_from(["*", "*/2", "1", "1-5", "1,3", "?"])
crons = st.just("self-managed") | st.lists(_steps, min_size=7, max_size=7).map(lambda fields: " ".join(["*", *fields]))
_spans = st.integers(1, 100)
lags = st.fixed_dictionaries({}, optional={"days": _spans, "hours": _spans, "minutes": _spans})
expiries = st.fixed_dictionaries({"days": _spans}, optional={"hours": _spans})
field_types = st.sampled_from(FieldType).map(str)
key_types = st.sampled_from(KeyType).map(str)


@st.composite
def partitions(draw: st.DrawFn) -> Raw:
    """Partition columns with formats that fit."""
    names = draw(st.just(False) | one_or_more("p"))
    if names is False:
        return {}
    formats = [str(each) for each in PartitionFormat]
    one: st.SearchStrategy[Any] = st.sampled_from([each for each in formats if each != "str"])
    if isinstance(names, list):
        one |= st.lists(st.sampled_from(formats), min_size=len(names), max_size=len(names))
    return {"partition_col": names, **draw(st.fixed_dictionaries({}, optional={"partition_col_format": one}))}


_common = {
    "batch_size": counts,
    "col_rename": st.dictionaries(columns("o"), words, min_size=1, max_size=3).map(
        lambda renames: {old: f"n{position}{new}" for position, (old, new) in enumerate(renames.items())}
    ),
    "lob_fields_length": keyed(counts),
    "slack_channel": words,
}
_moded = {
    "improper_bookmarks": booleans_set,
    "buffer_updation_lag": lags,
    "grace_updation_lag": lags,
}


def _specs(name_key: str, optional: Raw) -> st.SearchStrategy[Raw]:
    named = st.fixed_dictionaries({name_key: words, "cron": crons}, optional=_common | optional)
    return _merged(named, partitions())


def _bookmarks(*, needed: bool) -> st.SearchStrategy[Raw]:
    named = st.fixed_dictionaries({"bookmark": columns("b")}, optional={"bookmark_timezone": zones})
    return named | st.just({"bookmark": False}) if needed else named | st.just({})


@st.composite
def collections(draw: st.DrawFn) -> Raw:
    """A collection spec."""
    spec = draw(_specs("collection_name", _moded | {"time_delay": counts, "fields": keyed(field_types)}))
    spec["mode"] = draw(st.sampled_from(["dumping", "logging", "syncing"]))
    spec |= draw(_bookmarks(needed=spec["mode"] == "syncing"))
    if spec["mode"] == "dumping":
        spec |= draw(st.fixed_dictionaries({}, optional={"expiry": expiries}))
    return spec


@st.composite
def tables(draw: st.DrawFn, modes: tuple[str, ...]) -> Raw:
    """A table spec in one of the modes."""
    single = {
        "strict": booleans_set,
        "indexes": keyed(words.map("CREATE UNIQUE INDEX {}".format), "i"),
        "masking_columns": st.lists(
            st.tuples(columns("m"), counts).map(list), min_size=1, max_size=3, unique_by=lambda pair: pair[0]
        ),
        "max_delete_fraction": st.floats(0.001, 1),
        "key_overlap": st.integers(0, 10**6),
    }
    spec = draw(_specs("table_name", _moded | single))
    spec["table_name"] = spec["table_name"].replace(".", "-")
    spec["mode"] = mode = draw(st.sampled_from(modes))
    if mode == "dumping":
        query: Raw = {"fetch_data_query": words.map("SELECT *\nFROM {}".format)}
        no_query: st.SearchStrategy[Raw] = st.just({})
        spec |= draw(no_query | st.fixed_dictionaries(query, optional={"fields": keyed(field_types)}))
        spec |= draw(st.fixed_dictionaries({}, optional={"expiry": expiries}))
        return spec | draw(st.just({}) | _bookmarks(needed=False))
    keys = draw(one_or_more("k"))
    size = len(keys) if isinstance(keys, list) else 1
    spec |= {
        "primary_key": keys,
        "primary_key_datatype": draw(key_types | st.lists(key_types, min_size=size, max_size=size)),
    }
    if mode == "logging":
        return spec | draw(st.fixed_dictionaries({"bookmark": columns("b")}, optional={"bookmark_timezone": zones}))
    return spec | draw(_bookmarks(needed=True))


every_table = st.fixed_dictionaries(
    {"table_name": st.just("*"), "cron": crons, "mode": st.just("dumping")},
    optional={"exclude_tables": plain_words | st.lists(plain_words, min_size=1, max_size=3)},
)


def topics() -> st.SearchStrategy[Raw]:
    """A topic spec."""
    own = {
        "fields": keyed(field_types),
        "get_table_name": functions,
        "process_dict": functions,
    }
    return _specs("topic_name", own)


@st.composite
def apis(draw: st.DrawFn) -> Raw:
    """An API spec."""
    own = {
        "project_name": words,
        "event_names": st.lists(words, min_size=1, max_size=3),
        "start_day": st.integers(-30, -7),
        "end_day": st.integers(-6, -1),
        "date_column": columns("c"),
        "primary_keys": one_or_more("k"),
        "bulk_data": booleans_set,
        "lob_fields": keyed(counts),
    }
    spec = draw(_specs("api_name", own))
    fields = draw(st.just({}) | keyed(field_types))
    if fields:
        paths = {name: draw(plain_words) for name in fields}
        spec |= {"fields": fields} | draw(st.sampled_from([{}, {"api_to_field_mapping": paths}]))
    return spec


def _numbered(name_key: str, specs: list[Raw], schema: str = "") -> list[Raw]:
    """Give every spec a name of its own."""
    return [
        spec if spec[name_key] == "*" else {**spec, name_key: f"{schema}{spec[name_key]}_{position}"}
        for position, spec in enumerate(specs)
    ]


@st.composite
def mappings(draw: st.DrawFn) -> Raw:
    """A whole mapping, from any source to any destinations."""
    kind = draw(st.sampled_from(sorted(sources)))
    raw: Raw = {"source": draw(sources[kind]), "destination": draw(destinations())}
    if kind == "pgsql":
        has_s3 = any(each["destination_type"] == "s3" for each in raw["destination"].values())
        modes = ("dumping", "logging", "syncing") if has_s3 else ("dumping", "logging", "syncing", "mirroring")
        specs = draw(st.lists(tables(modes), min_size=1, max_size=2)) + draw(st.lists(every_table, max_size=1))
        raw["tables"] = _numbered("table_name", specs, draw(st.sampled_from(["", "Sales."])))
    elif kind == "mongo":
        raw["collections"] = _numbered("collection_name", draw(st.lists(collections(), min_size=1, max_size=2)))
    elif kind == "api":
        raw["apis"] = _numbered("api_name", draw(st.lists(apis(), min_size=1, max_size=2)))
    else:
        raw["topics"] = _numbered("topic_name", draw(st.lists(topics(), min_size=1, max_size=2)))
        redis: Raw = {"url": references | hosts.map("redis://{}".format)}
        raw["redis"] = draw(st.fixed_dictionaries(redis, optional={"password": secrets}))
        raw |= draw(st.fixed_dictionaries({}, optional={"get_table_name": functions, "process_dict": functions}))
    return raw


_stores = st.fixed_dictionaries({"url": _urls, "db_name": texts, "collection_name": texts})
_keepalives = st.fixed_dictionaries(
    {"keepalives_idle": st.integers(31, 99)},
    optional={
        "keepalives": st.just(0),
        "keepalives_interval": st.integers(6, 99),
        "keepalives_count": st.integers(6, 99),
        "tcp_user_timeout": counts,
    },
)
_slack = {"slack_notif": st.fixed_dictionaries({"slack_token": secrets, "channel": texts})}
_settings = st.fixed_dictionaries(
    {"encryption_store": _stores, "dashboard_store": _stores},
    optional={
        "fastapi_server": booleans_set,
        "timezone": zones,
        "cut_off_time": st.times(timezones=st.none()).map(lambda time: time.replace(fold=0)),
        "keepalive_kwargs": _keepalives,
        "clock_margin_s": st.integers(0, 999),
    },
)
settings: st.SearchStrategy[Raw] = _merged(
    _settings,
    st.just({}) | st.fixed_dictionaries(_slack, optional={"notify": booleans_set}),
)
"""Whole settings documents."""

parts: list[st.SearchStrategy[Raw]] = [
    *sources.values(),
    *(make(0) for make in _DESTINATIONS.values()),
    tables(("dumping", "logging", "syncing", "mirroring")),
    every_table,
    collections(),
    topics(),
    apis(),
    mappings(),
    settings,
    _keepalives,
]
"""Documents and the parts that they are made of."""
