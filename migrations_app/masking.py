"""The last line of defence: what looks like a secret is masked in log lines and messages.

Nothing relies on it. Errors and messages are made without secrets; this is for the one that slips through.
"""

from __future__ import annotations

import re

MASK = "***"
#: Shorter values are words of every day; masking them would leave nothing to read.
_LEAST_LENGTH = 8

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ of an address; a password may hold / ? # and @ itself, so up to the last @.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s:/@]*:[^\s]*@"), rf"\1{MASK}@"),
    (re.compile(r"\bxox[a-z]-[A-Za-z0-9-]+"), MASK),
    (re.compile(r"\bsealed:[0-9a-f]{8}:\S+"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}"), rf"\1 {MASK}"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (
        re.compile(
            r"(?i)(\w*(?:password|passwd|pwd|secret|token|api_?key|access_?key|sslkey)\w*)"
            r"(\s*=\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;&)}\]]+)"
        ),
        rf"\1\2{MASK}",
    ),
    (
        re.compile(
            r"(?i)([\"']\w*(?:password|passwd|secret|token|api_?key|access_?key)\w*[\"']\s*:\s*)"
            r"(?:'[^']*'|\"[^\"]*\")"
        ),
        rf"\1'{MASK}'",
    ),
    # PostgreSQL quotes the row in the details of a violated constraint.
    (re.compile(r"(?i)\bKey \([^)\n]*\)=\(.*?\)(?= |$|\.|\n)"), f"Key ({MASK})"),
    (re.compile(r"(?i)\bFailing row contains \(.*?\)\.?(?=\n|$)"), f"Failing row contains ({MASK})"),
)

_known: set[str] = set()


def remember(*values: str) -> None:
    """Mask these values from now on, wherever they turn up in this process."""
    _known.update(value for value in values if len(value) >= _LEAST_LENGTH)


def mask(text: str) -> str:
    """Return the text with what is known to be secret, or looks like it, masked."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
