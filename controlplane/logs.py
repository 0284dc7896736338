"""Log lines as JSON, for collectors: one object a line, with the keys that log calls give in `extra`."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

#: The only keys that a log call may add.
EXTRA_KEYS = ("action", "run_id", "mapping", "stream", "connector", "rows", "bytes", "seconds")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({key: getattr(record, key) for key in EXTRA_KEYS if hasattr(record, key)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
