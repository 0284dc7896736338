"""The demo from beginning to end, in the order in which it happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controlplane.demo import commands, lake, reviews, shop
from controlplane.demo.commands import Figures
from controlplane.demo.place import Place
from controlplane.demo.report import Teller
from controlplane.demo.verifying import Verified, verify_mapping

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SETTINGS_FILE = _EXAMPLES / "settings.py"
MAPPING_FILES = tuple(
    _EXAMPLES / name
    for name in (
        "shop_dumping.yaml",
        "shop_logging.json",
        "shop_syncing.py",
        "shop_mirroring.py",
        "shop_lake.py",
        "shop_collections.py",
    )
)
MAPPING_IDS = tuple(path.stem for path in MAPPING_FILES)
_LAKE = "lake"


def tell(place: Place, teller: Teller, rows: int) -> bool:
    """Load, run, change, run again, compare; True when every stream's ends are equal.

    Raises:
        CommandFailedError: A command failed.
    """
    load_and_import(place, teller, rows)
    teller.step("First run: everything is copied. Meanwhile somebody keeps a transaction with 300 new events open.")
    with shop.late_transaction(place):
        first = run_all(teller)
    teller.step("A day passes: that transaction is committed at last; rows are inserted, changed and deleted, and")
    teller.line("   sales.customers gets a column that has values at once.")
    shop.change(place)
    reviews.change(place)
    teller.step("Second run: what changed, and nothing else, except that the new column fills every customer.")
    second = {figures.stream: figures for figures in run_all(teller)}
    teller.step("Comparison: both ends hash their rows by key range.")
    verified = verify_all()
    teller.line("")
    teller.table(first, second, verified)
    positions, runs = place.stored()
    teller.line(f"   the two stores hold the positions of {positions} streams and the records of {runs} runs")
    teller.step("The bucket as Athena or DuckDB see it: every Parquet file under a prefix, and nothing of ours.")
    return say_verdict(teller, look_into_lake(place, teller, verified))


def compare_again(place: Place, teller: Teller) -> bool:
    """Compare what an earlier demo left; True when every stream's ends are equal."""
    return say_verdict(teller, look_into_lake(place, teller, verify_all()))


def load_and_import(place: Place, teller: Teller, rows: int) -> None:
    """Make the sample shop and bring the example mappings into the control database."""
    teller.step(
        "A sample shop: customers, orders, products, an audit log, events in partitions, one table of many types;"
        " and reviews in MongoDB."
    )
    began = teller.seconds
    count = shop.load(place, rows)
    review_count = reviews.load(place, rows)
    teller.line(
        f"   {count:,} rows and {review_count:,} documents in {teller.seconds - began:.1f} s, in the databases shop"
    )
    teller.step("The example mappings, from files: ./run manage import_mapping examples/shop_*")
    for line in commands.setup(SETTINGS_FILE, MAPPING_FILES):
        teller.line(f"   {line}")


def run_all(teller: Teller) -> list[Figures]:
    """Run every mapping and show a line for each stream."""
    done: list[Figures] = []
    for mapping_id in MAPPING_IDS:
        for figures in commands.run_mapping(mapping_id):
            teller.ran(figures)
            done.append(figures)
    return done


def verify_all() -> dict[str, Verified]:
    """Compare both ends of every stream."""
    return {found.stream: found for mapping_id in MAPPING_IDS for found in verify_mapping(mapping_id)}


def look_into_lake(place: Place, teller: Teller, verified: dict[str, Verified]) -> dict[str, Verified]:
    """Count what a stranger's reader finds in the bucket; where that is something else, the stream is not equal."""
    confirmed = dict(verified)
    for stream, there in verified.items():
        if there.destination != _LAKE:
            continue
        found = lake.look_into(place.s3, f"{there.place}/{there.table}/", there.key)
        teller.found(found)
        if not found.confirms(there.destination_rows):
            remark = f"a plain reader finds {found.current_rows:,} rows with {found.key_count:,} keys in the bucket"
            confirmed[stream] = replace(there, is_equal=False, remarks=(*there.remarks, remark))
    return confirmed


def say_verdict(teller: Teller, verified: dict[str, Verified]) -> bool:
    """Explain what the table cannot, and say whether all is equal."""
    teller.line("   dumping keeps every snapshot; the newest is compared")
    for found in verified.values():
        for remark in found.remarks:
            teller.line(f"   {found.stream}: {remark}")
    different = [found.stream for found in verified.values() if not found.is_equal]
    teller.line("")
    if different:
        teller.line(f"NOT EQUAL: {', '.join(different)}", style="bold red")
        return False
    teller.line(f"All {len(verified)} streams are equal at both ends. {teller.seconds:.0f} s in all.", style="bold")
    return True
