"""`./run bench [--json] [--rows N] [--repeat N] [--no-large]`: measure copying and syncing against psql's COPY."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import table
from benchmarks.setting import LAKE, Setting
from controlplane.sandbox import ensure_servers
from controlplane.sandbox.keeper import KeeperOptions

_ROWS = 2_000_000
_LARGE = 10_000_000
_NAMES = ("syncing", "mirroring", LAKE)

Figures = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all benchmarks; the last thing printed is the result."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        servers = ensure_servers(KeeperOptions(directory / "servers.json", watched_pid=os.getpid()))
        figures = _measure(Setting(servers, directory), options)
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.writelines(f"{name:28} {value:10.3f}\n" for name, value in figures.items())
    return 0


def _measure(setting: Setting, options: argparse.Namespace) -> Figures:
    rows, repeat = options.rows, options.repeat
    _say(f"loading {rows:,} rows")
    setting.make_source(rows)
    for name in _NAMES:
        setting.add_mapping(name)
    figures: Figures = {}
    figures |= _first_copy(setting, repeat)
    figures |= _incremental(setting, repeat)
    figures |= _mirror(setting, repeat)
    figures |= _lake(setting, repeat, rows)
    if options.large:
        _say(f"loading {_LARGE:,} rows")
        for name in _NAMES:
            setting.forget(name)
        setting.sql("bench_target", "DROP TABLE IF EXISTS floor")
        setting.make_source(_LARGE)
        for figure, name in (("peak_rss_mb_10m", "syncing"), ("peak_rss_mb_s3_10m", LAKE)):
            first = setting.run(name).peak_rss_mb
            setting.sql("bench_source", table.change_one_percent("events", 7))
            changed = setting.run(name).peak_rss_mb
            figures[figure] = max(first, changed)
            _say(f"peak memory of {name} at {_LARGE:,} rows: {first:.0f} MB, then with 1% changed {changed:.0f} MB")
    return {name: round(value, 3) for name, value in figures.items()}


def _first_copy(setting: Setting, repeat: int) -> Figures:
    """Rate of a first copy as a share of the floor's; each is measured right after the other."""
    ratios, full, peaks = [], [], []
    for _ in range(repeat):
        floor = setting.floor()
        setting.forget("syncing")
        finished = setting.run("syncing")
        ratios.append(floor / finished.run_seconds)
        full.append(finished.run_seconds)
        peaks.append(finished.peak_rss_mb)
        _say(f"first copy {finished.run_seconds:.2f} s, floor {floor:.2f} s, ratio {ratios[-1]:.3f}")
    return {
        "pg_to_pg_vs_floor": statistics.median(ratios),
        "first_copy_seconds": statistics.median(full),
        "peak_rss_mb_2m": max(peaks),
    }


def _incremental(setting: Setting, repeat: int) -> Figures:
    """Syncing after nothing changed, and after one percent of the rows did, against a first copy."""
    numbers = iter(range(1, repeat + 1))

    def change_and_run() -> float:
        setting.settle("syncing")
        setting.sql("bench_source", table.change_one_percent("events", next(numbers)))
        return setting.run("syncing").run_seconds

    empty = _median("sync with nothing changed, whole process", repeat, lambda: setting.run("syncing").seconds)
    changed = _median("sync with 1% changed", repeat, change_and_run)
    setting.forget("syncing")
    full = setting.run("syncing").run_seconds
    return {"sync_1pct_vs_full_pg": changed / full, "empty_sync_seconds": empty}


def _mirror(setting: Setting, repeat: int) -> Figures:
    """Mirroring with nothing changed against its first copy."""
    ratios = []
    for _ in range(repeat):
        setting.forget("mirroring")
        full = setting.run("mirroring").run_seconds
        again = setting.run("mirroring").run_seconds
        ratios.append(again / full)
        _say(f"mirroring: first copy {full:.2f} s, nothing changed {again:.2f} s, ratio {ratios[-1]:.3f}")
    return {"mirror_0_vs_full_pg": statistics.median(ratios)}


def _lake(setting: Setting, repeat: int, rows: int) -> Figures:
    """Into Parquet: first copies against reading alone, then syncs of one percent against first copies."""
    ratios, full, peaks = [], [], []
    for _ in range(repeat):
        floor = setting.read_floor()
        setting.forget(LAKE)
        finished = setting.run(LAKE)
        ratios.append(floor / finished.run_seconds)
        full.append(finished.run_seconds)
        peaks.append(finished.peak_rss_mb)
        _say(f"to S3: first copy {finished.run_seconds:.2f} s, reading alone {floor:.2f} s, ratio {ratios[-1]:.3f}")
    numbers = iter(range(50, 99))

    def sync(change: Callable[[int], str]) -> float:
        setting.settle(LAKE)
        setting.sql("bench_source", change(next(numbers)))
        finished = setting.run(LAKE)
        peaks.append(finished.peak_rss_mb)
        return finished.run_seconds

    empty = _median("to S3: sync with nothing changed, whole process", repeat, lambda: setting.run(LAKE).seconds)
    together = _median(
        "to S3: sync with 1% changed, side by side",
        repeat,
        lambda: sync(lambda number: table.change_one_percent_together("events", number, rows)),
    )
    scattered = _median(
        "to S3: sync with 1% changed, scattered",
        repeat,
        lambda: sync(lambda number: table.change_one_percent("events", number)),
    )
    first = statistics.median(full)
    return {
        "pg_to_s3_vs_floor": statistics.median(ratios),
        "first_copy_s3_seconds": first,
        "peak_rss_mb_s3_2m": max(peaks),
        "empty_sync_s3_seconds": empty,
        "sync_1pct_vs_full_s3": together / first,
        "sync_1pct_scattered_vs_full_s3": scattered / first,
    }


def _median(what: str, repeat: int, measure: Callable[[], float]) -> float:
    found = [measure() for _ in range(repeat)]
    _say(f"{what}: {', '.join(f'{seconds:.2f} s' for seconds in found)}")
    return statistics.median(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    parser.add_argument("--rows", type=int, default=_ROWS, help="rows of the bench table (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each figure (default: %(default)s)")
    parser.add_argument(
        "--no-large", dest="large", action="store_false", help=f"leave out the memory figure at {_LARGE:,} rows"
    )
    return parser


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
