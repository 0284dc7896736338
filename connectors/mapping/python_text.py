"""Python source text of a document: laid out for reading, references written as os.getenv calls."""

import datetime as dt
from collections.abc import Set as AnySet
from typing import Any

from connectors.mapping.env import EnvRef, is_reference

_INDENT = "    "
_SHORT = 88
"""Longest line on which a list or dictionary is kept together."""


def python_text(variable: str, data: dict[str, Any], *, reference_keys: AnySet[str]) -> str:
    """Write `variable = {...}` with the imports that it needs.

    Args:
        variable: the name that is assigned.
        data: plain values, as to_dict gives them.
        reference_keys: top-level keys under which texts of the form env:NAME are references.
    """
    modules: set[str] = set()
    lines = [f"{variable} = {{"]
    for key, value in data.items():
        text = _Layout(modules, references=key in reference_keys).text(value, 1)
        lines.append(f"{_INDENT}{key!r}: {text},")
    lines.append("}")
    imports = [f"import {module}" for module in sorted(modules)]
    return "\n".join([*imports, *([""] if imports else []), *lines]) + "\n"


class _Layout:
    """Writes values, noting the modules that the text needs."""

    def __init__(self, modules: set[str], *, references: bool) -> None:
        self.modules = modules
        self.references = references

    def text(self, value: Any, depth: int) -> str:
        """Write a value that stands `depth` levels deep."""
        if isinstance(value, dict):
            return self._together(
                [f"{key!r}: {self.text(each, depth + 1)}" for key, each in value.items()], "{", "}", depth
            )
        if isinstance(value, list):
            return self._together([self.text(each, depth + 1) for each in value], "[", "]", depth)
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, dt.time):
            self.modules.add("datetime")
        return repr(value)

    def _string(self, value: str) -> str:
        reference = EnvRef.parse(value) if self.references and is_reference(value) else None
        if reference is None:
            return repr(value)
        self.modules.add("os")
        if reference.default is None:
            return f"os.getenv({reference.name!r})"
        return f"os.getenv({reference.name!r}, {reference.default!r})"

    def _together(self, parts: list[str], opening: str, closing: str, depth: int) -> str:
        flat = ", ".join(parts)
        if len(flat) + depth * len(_INDENT) <= _SHORT and "\n" not in flat and ": {" not in flat:
            return f"{opening}{flat}{closing}"
        inner = "".join(f"{_INDENT * (depth + 1)}{part},\n" for part in parts)
        return f"{opening}\n{inner}{_INDENT * depth}{closing}"
