"""Environment references: a text value `env:NAME` stands for the variable NAME when a run starts.

`env:NAME:-text` stands for the variable, or for `text` when it is not set.
"""

import re
from dataclasses import dataclass
from typing import Self

PREFIX = "env:"
FORMAT = "a reference is written env:NAME, or env:NAME:-text with a default, where NAME is letters, digits and _"

_REFERENCE = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>:-(?P<default>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class EnvRef:
    """A reference to an environment variable.

    Attributes:
        name: the variable.
        default: the text that stands in when the variable is not set; None when there is none.
    """

    name: str
    default: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a reference.

        Returns:
            The reference, or None when the text is an ordinary value.

        Raises:
            ValueError: the text starts like a reference and is none.
        """
        if not text.startswith(PREFIX):
            return None
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ValueError(FORMAT)
        return cls(match["name"], match["default"])

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}" if self.default is None else f"{PREFIX}{self.name}:-{self.default}"


def is_reference(text: str) -> bool:
    """Whether the text is a well-formed reference."""
    return _REFERENCE.fullmatch(text) is not None
