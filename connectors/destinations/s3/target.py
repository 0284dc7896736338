"""Where a stream's table lies in the bucket, and how its parts are named."""

from __future__ import annotations

import re

from connectors.base import Stream
from connectors.mapping import S3Destination as Config

#: Under the table's prefix: what is not rows. Athena, Spark and Hive ignore names that begin with `_`.
STATE_DIRECTORY = "_dms/"
SNAPSHOT_COLUMN = "migration_snapshot_date"
# What Hive encodes in directory names, and a few characters that URLs or shells take for something else.
_SPECIAL = re.compile(r"""[\x00-\x1f"#%'*/:=?\\{}\[\]^\x7f]""")


def encoded(text: str) -> str:
    """A text as one directory name: special characters as ``%XX``, the form that Hive, Athena and Spark decode."""
    if text in {".", ".."}:
        return "%2E" * len(text)
    return _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", text)


def table_prefix(config: Config, stream: Stream) -> str:
    """The prefix of everything that belongs to the table; ends with a slash, so that no neighbour's name fits it."""
    names = (stream.kind, stream.db_name, stream.name + config.s3_suffix)
    return "".join(f"{encoded(name)}/" for name in names)


def part_name(epoch: int, sequence: int, number: int) -> str:
    """The file name of a part. Epoch and number make it unique for ever, as an epoch has one writer.

    Args:
        epoch: Of the writer.
        sequence: Of the commit that it is meant for.
        number: Counts the parts of this writer.
    """
    return f"part-{epoch:06d}-{sequence:06d}-{number:05d}.parquet"
