"""What is wrong with a mapping or with settings: one issue for each mistake, all of them at once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

INVALID = "invalid"
"""Code of mistakes that have no code of their own: values that a rule of the contract refuses."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def format_path(loc: Sequence[str | int]) -> str:
    """Write a location the way it would be reached in Python: `tables[0].bookmark`."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _PLAIN_KEY.match(part):
            path += f"[{part!r}]"
        else:
            path += f".{part}" if path else part
    return path


@dataclass(frozen=True, slots=True)
class Issue:
    """One mistake.

    Attributes:
        loc: keys and list positions that lead to the mistake; empty for the document as a whole.
        message: what was expected and what to do, in plain words; never a value of the document.
        code: the kind of mistake, for programs; it stays the same when the words change.
    """

    loc: tuple[str | int, ...]
    message: str
    code: str = field(default=INVALID, compare=False)

    @property
    def path(self) -> str:
        """The location as text, for people: `tables[0].bookmark`."""
        return format_path(self.loc)

    @property
    def pointer(self) -> str:
        """The location as a JSON pointer (RFC 6901), for programs: `/tables/0/bookmark`."""
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.loc)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.loc else self.message


class MappingError(Exception):
    """A mapping or a settings document does not keep the contract.

    Attributes:
        issues: every mistake that was found, in the order of the document; never empty.
    """

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = tuple(issues)
        if not self.issues:
            message = "a MappingError needs at least one issue"
            raise ValueError(message)
        super().__init__("\n".join(str(issue) for issue in self.issues))
