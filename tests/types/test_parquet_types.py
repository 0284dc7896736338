"""The table of types in docs/delivery.md says of every type what it becomes in Parquet."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.arrow.types import arrow_type
from connectors.types import PgType
from tests.types.values import OBJECT_NAMES, SCALARS

DELIVERY = (Path(__file__).resolve().parents[2] / "docs" / "delivery.md").read_text(encoding="utf-8")
SECTION = DELIVERY.split("### Types in Parquet\n")[1].split("A value that the type cannot hold")[0]
TABLE, OTHERS = SECTION.split("Everything else is PostgreSQL's text (`string`, `VARCHAR`), unchanged:")
#: The short names of the table, as PostgreSQL's own format_type() spells them.
FULL_NAMES = {
    "varchar": "character varying",
    "char": "character",
    "varbit": "bit varying",
    "time": "time without time zone",
    "timetz": "time with time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}


def told() -> list[tuple[str, str, str]]:
    """PostgreSQL's type, pyarrow's and DuckDB's name of what it becomes, of all that the page tells."""
    found = []
    for cell, in_arrow, in_duckdb in re.findall(r"^\| (`.+?) \| `(.+?)` \| `(.+?)` \|$", TABLE, re.MULTILINE):
        for name in re.findall(r"`(.+?)`", cell):
            if name in ("strict", "timezone"):
                continue
            # Without `strict`, the source casts an instant before it comes here.
            is_cast = name == "timestamptz" and "without `strict`" in cell
            found.append(("timestamp" if is_cast else name, in_arrow, in_duckdb))
    return found + [(name, "string", "VARCHAR") for name in re.findall(r"`(.+?)`", OTHERS)]


def full_name(name: str) -> str:
    return FULL_NAMES.get(name, name)


@pytest.mark.parametrize(("name", "in_arrow", "in_duckdb"), told())
def test_a_type_becomes_what_the_page_says(name: str, in_arrow: str, in_duckdb: str, tmp_path: Path) -> None:
    arrived = arrow_type(PgType(full_name(name)), "UTC")
    assert str(arrived) == in_arrow
    path = tmp_path / "one.parquet"
    pq.write_table(pa.table({"c": pa.array([None], arrived)}), path)
    assert pq.read_schema(path).field("c").type == arrived
    with duckdb.connect() as connection:
        assert [str(each) for each in connection.read_parquet(str(path)).types] == [in_duckdb]


def test_every_type_is_told() -> None:
    names = {full_name(name) for name, _, _ in told()}
    known = {re.sub(r"\(.*?\)| day to second", "", type_text) for type_text in (*SCALARS, *OBJECT_NAMES, "xml")}
    assert {re.sub(r"\(.*?\)|\[\]", "", name) for name in names} == known
    assert names - known == {"numeric(12,2)", "numeric(3,5)", "numeric(3,-2)", "numeric(39,0)", "integer[]"}
