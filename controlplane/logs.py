"""Log lines as text for people, or as JSON for collectors: one object a line, with the run that it belongs to.

Both mask what looks like a secret, as the last line of defence.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from migrations_app import log_context
from migrations_app.masking import mask

#: The only keys that a log call may add.
EXTRA_KEYS = (
    *("action", "run_id", "mapping", "stream", "connector", "rows", "bytes", "seconds"),
    *("request_id", "caller"),
)


class TextFormatter(logging.Formatter):
    """Formats a record as a line of text, and its traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        return mask(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        line.update(log_context.current())
        line.update({key: getattr(record, key) for key in EXTRA_KEYS if hasattr(record, key)})
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(line, default=str)
