"""`./run bench collections [--json] [--documents N]`: a collection into Parquet, against pymongo and pandas.

Both sides are given the same BSON from memory, so that no server's time is in it. Peak memory is that of whole runs
from benchmarks/replay.py, into a bucket and into a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import replay
from benchmarks.documents import BATCH, FIELDS, batch
from benchmarks.setting import BUCKET, SCHEMA, Setting
from controlplane.sandbox import ensure_servers
from controlplane.sandbox.keeper import KeeperOptions

_MEASURED = 200_000
_LARGE = 2_000_000
_ROOT = Path(__file__).resolve().parent.parent

Figures = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the last thing printed is the result."""
    parser = argparse.ArgumentParser(prog="./run bench collections", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    parser.add_argument("--documents", type=int, default=_MEASURED, help="documents (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each figure (default: %(default)s)")
    parser.add_argument("--no-large", dest="large", action="store_false", help="leave out 2 million documents")
    options = parser.parse_args(arguments)
    figures = _rates(options.documents, options.repeat) | _memory(options.documents, is_large=options.large)
    if options.json:
        sys.stdout.write(json.dumps({name: round(value, 3) for name, value in figures.items()}) + "\n")
    else:
        sys.stdout.writelines(f"{name:32} {value:12.3f}\n" for name, value in figures.items())
    return 0


def _rates(documents: int, repeat: int) -> Figures:
    """Documents a second of both, one right after the other, each in a process of its own."""
    documents -= documents % BATCH
    ratios, ours, theirs = [], [], []
    for _ in range(repeat):
        ours.append(documents / _timed("source", documents))
        theirs.append(documents / _timed("pandas", documents))
        ratios.append(ours[-1] / theirs[-1])
        _say(f"to Parquet: {ours[-1]:,.0f} documents/s, by pandas {theirs[-1]:,.0f}, ratio {ratios[-1]:.2f}")
    return {
        "collection_vs_pandas": statistics.median(ratios),
        "collection_docs_per_s": statistics.median(ours),
        "pandas_docs_per_s": statistics.median(theirs),
    }


def _timed(which: str, documents: int) -> float:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.collections", "--measure", which, str(documents)]
    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def measure(which: str, documents: int, directory: Path) -> float:
    """Seconds from BSON in memory to a file, without imports."""
    raws = [batch(number) for number in range(documents // BATCH)]
    work: Callable[[list[bytes], Path], None] = {"source": _by_source, "pandas": _by_pandas}[which]
    # Once on little, so that nothing is imported for the first time while it is measured.
    work(raws[:1], directory / "first.parquet")
    began = time.perf_counter()
    work(raws, directory / "file.parquet")
    return time.perf_counter() - began


def _by_source(raws: list[bytes], path: Path) -> None:
    """A first copy as the source makes it, its rows into one file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from connectors.base import Options, RunReport, Stream
    from connectors.mapping import CollectionSpec, MongoSource
    from connectors.sources.mongo.copying import copy
    from connectors.sources.mongo.fields import Fields
    from connectors.sources.mongo.ids import OBJECT_IDS
    from connectors.sources.mongo.position import MongoPosition
    from connectors.sources.mongo.reading import Reading
    from connectors.sources.mongo.rows import Tally
    from connectors.sources.mongo.session import Session

    class Replayed(Session):
        """Batches from memory, all of whose ids are ObjectIds."""

        def raw_batches(self, collection: str, filter_: Any, **_: Any) -> Iterator[bytes]:  # noqa: ARG002
            yield from raws if filter_ == OBJECT_IDS.whole else []

    config = MongoSource.model_validate({"source_type": "mongo", "url": "localhost", "db_name": replay.DATABASE})
    spec = CollectionSpec.model_validate(_spec("syncing") | {"bookmark": "updated_at"})
    stream = Stream("bench", "mongo", replay.DATABASE, replay.COLLECTION, spec, "UTC", Options())
    report = RunReport()
    session = Replayed(config, "bench", stream.options)
    reading = Reading(session, stream, spec, Fields(stream, report), Tally(report, {}), report)
    writer: Any = None
    for chunk in copy(reading, MongoPosition(mode=spec.mode)):
        for rows in chunk.rows.batches("UTC"):
            writer = writer or pq.ParquetWriter(path, rows.schema, compression="zstd")
            writer.write_table(pa.Table.from_batches([rows]))
    writer.close()


def _by_pandas(raws: list[bytes], path: Path) -> None:
    """What pymongo does to the same bytes in find(), and then what people do."""
    import bson
    import pandas as pd

    documents = [document for raw in raws for document in bson.decode_all(raw)]
    frame = pd.DataFrame(documents)
    frame["_id"] = frame["_id"].astype(str)
    frame.to_parquet(path)


def _memory(documents: int, *, is_large: bool) -> Figures:
    """Peak memory of first copies by the real command."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        servers = ensure_servers(KeeperOptions(directory / "servers.json", watched_pid=os.getpid()))
        setting = Setting(servers, directory)
        for count in (documents, _LARGE) if is_large else (documents,):
            with _replaying(count) as port:
                for kind in ("s3", "pgsql"):
                    mapping = f"{kind}_{count}"
                    setting.import_mapping(mapping, _mapping(setting, kind, port, mapping))
                    finished = setting.run(mapping)
                    label = f"{kind}_{count // 1000}k"
                    figures[f"peak_rss_mb_{label}"] = finished.peak_rss_mb
                    figures[f"seconds_{label}"] = finished.run_seconds
                    _say(f"{count:,} documents to {kind}: {finished.run_seconds:.1f} s, {finished.peak_rss_mb:.0f} MB")
    return figures


def _mapping(setting: Setting, kind: str, port: int, name: str) -> dict[str, Any]:
    target = setting.bucket_keys() | {"s3_bucket_name": BUCKET, "s3_suffix": f"_{name}"}
    if kind == "pgsql":
        target = setting.server_keys() | {
            "destination_type": "pgsql",
            "db_name": "bench_target",
            "schema": f"{SCHEMA}_{name}",
        }
    url = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    return {
        "source": {"source_type": "mongo", "url": url, "db_name": replay.DATABASE},
        "destination": {"target": target},
        "collections": [_spec("syncing") | {"bookmark": "updated_at"}],
    }


def _spec(mode: str) -> dict[str, Any]:
    return {"collection_name": replay.COLLECTION, "cron": "self-managed", "mode": mode, "fields": FIELDS}


@contextmanager
def _replaying(documents: int) -> Iterator[int]:
    """The port of a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.replay", str(documents)]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        with tempfile.TemporaryDirectory() as place:
            sys.stdout.write(f"{measure(sys.argv[2], int(sys.argv[3]), Path(place))}\n")
        sys.exit(0)
    sys.exit(main())
