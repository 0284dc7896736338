"""What every part says of itself in its footer, so that a lost manifest can be made again from the parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connectors.destinations.s3.manifest import FORMAT_VERSION, StoredColumn, column_as_list, decoding, encode

_METADATA = b"dms"


@dataclass(frozen=True, slots=True)
class Label:
    """Whose part it is and what its columns are.

    Attributes:
        stream: Unique id of the stream that wrote it last.
        key: Names of the key's columns.
        columns: As the manifest keeps them.
        facts: As the manifest keeps them.
    """

    stream: str
    key: tuple[str, ...]
    columns: tuple[StoredColumn, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def on(self, schema: pa.Schema) -> pa.Schema:
        """A schema whose files carry the label."""
        document = {
            "version": FORMAT_VERSION,
            "stream": self.stream,
            "key": self.key,
            "columns": [column_as_list(column) for column in self.columns],
            "facts": dict(self.facts),
        }
        return schema.remove_metadata().with_metadata({_METADATA: encode(document)})

    @classmethod
    def of(cls, schema: pa.Schema) -> Label | None:
        """The label of a file with that schema, None when it has none that this release reads."""
        body = (schema.metadata or {}).get(_METADATA)
        if body is None:
            return None
        try:
            with decoding(body) as raw:
                columns = tuple(StoredColumn(*values) for values in raw["columns"])
                return cls(raw["stream"], tuple(raw["key"]), columns, raw["facts"])
        except ValueError:
            return None
