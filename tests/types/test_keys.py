"""Values of every type that can be a primary key find their rows again: updated, deleted and resumed by key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controlplane.sandbox import PostgresServer
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase, new_database
from tests.types.support import differing
from tests.types.values import NO_KEYS, SCALARS, array_literals, literal

KEYS = {name: [literal(name, value) for value in values] for name, values in SCALARS.items() if name not in NO_KEYS}
KEYS |= {
    f"{name}[]": array_literals(name, SCALARS[name]) for name in ("integer", "text", "uuid", "numeric", "interval")
}
# Equal values of different bytes cannot both be keys.
KEYS["numeric"] = [each for each in KEYS["numeric"] if "'1.0'" not in each and "'0.000'" not in each]
KEYS["interval"] = [
    literal("interval", value) for value in ("30 days", "-00:00:00.000001", "infinity", "1 year -1 day")
]
KEYS["character varying(5)"] = [*KEYS["character varying(5)"][:1], literal("character varying(5)", "b")]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PgDatabase]:
    """One for all; each type has a table of its own."""
    with new_database(postgres) as made:
        yield made


@pytest.mark.parametrize("type_text", KEYS)
def test_mirroring_by_a_key_of_the_type(database: PgDatabase, type_text: str) -> None:
    name = f"keyed{list(KEYS).index(type_text)}"
    database.execute(
        f"CREATE TABLE {name} (k {type_text} PRIMARY KEY, note text, updated_at timestamptz DEFAULT now())"
    )
    values = list(dict.fromkeys(KEYS[type_text]))
    for place, value in enumerate(values):
        database.execute(f"INSERT INTO {name} VALUES ({value}, 'note {place}')")
    spec = {"primary_key": "k", "primary_key_datatype": "str", "mode": "mirroring", "strict": True, "batch_size": 1}
    raw = make_mapping(database, database, make_table(name, **spec))
    run_once(raw, chunk_bytes=1)
    assert differing(database, ["k", "note"], name, key="k") == []
    database.execute(f"UPDATE {name} SET note = 'changed', updated_at = clock_timestamp() WHERE k = {values[-1]}")
    database.execute(f"DELETE FROM {name} WHERE k = {values[0]}")
    result = run_once(raw, chunk_bytes=1, allow_deletes=1)
    assert (result.inserted, result.updated, result.deleted) == (0, int(len(values) > 1), 1)
    assert differing(database, ["k", "note"], name, key="k") == []
