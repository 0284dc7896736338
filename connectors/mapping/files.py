"""Reading a mapping or settings file: Python (looked at, never run), JSON or YAML. What comes out is raw data."""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from connectors.mapping.errors import Issue, MappingError
from connectors.mapping.python_file import read_python

MAX_BYTES = 4 * 1024 * 1024
"""Far above any mapping written by hand; keeps a wrong path from filling the memory."""
MAX_PASTED_BYTES = 1024 * 1024
"""Of a text that is pasted into a page, whose form a web process holds as a whole."""
_MOST_NODES = 1_000_000
"""Values in a YAML document with its aliases followed; more than fit into MAX_BYTES by hand."""

_VARIABLES = ("mapping", "settings")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The content of a file.

    Attributes:
        data: the document as plain data, not yet checked against the contract.
        warnings: sentences about parts of the file that were left out, with what to do about them.
    """

    data: dict[str, Any]
    warnings: tuple[str, ...] = ()


def load_file(path: str | Path, variable: str = "mapping") -> Loaded:
    """Read a file by its ending: .py, .json, .yaml or .yml.

    Args:
        path: the file.
        variable: the document's name in a Python file: mapping or settings. In JSON and YAML the document stands
            alone, or under that name as the only key.

    Returns:
        The document. In Python files os.getenv('X') and os.environ['X'] have become the reference env:X.

    Raises:
        MappingError: the file cannot be read, or holds more than literals; each mistake with its line.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise _error(path, "has another ending than .py, .json, .yaml or .yml; rename it or export it in one of these")
    return _document(path, read(path, _text(path), variable), variable)


def load_text(text: str, name: str, variable: str = "mapping") -> Loaded:
    """Read the content of a file that was uploaded; like load_file, with `name` for its ending."""
    path = Path(name)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise _error(path, "has another ending than .py, .json, .yaml or .yml; rename it or export it in one of these")
    return _document(path, read(path, text, variable), variable)


def _error(path: Path, message: str) -> MappingError:
    return MappingError([Issue((), f"{path.name}: {message}")])


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _error(path, f"is larger than {MAX_BYTES // 1024 // 1024} MB, which no mapping needs; check the path")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror}); check the path and its permissions") from None
    except UnicodeDecodeError:
        raise _error(path, "is not UTF-8 text; save it as UTF-8") from None


def _document(path: Path, loaded: Loaded, variable: str) -> Loaded:
    data: Any = loaded.data
    if isinstance(data, dict) and len(data) == 1 and variable in data:
        data = data[variable]
    if not isinstance(data, dict):
        raise _error(path, f"holds no dictionary; a {variable} is a dictionary of keys and values")
    if len(data) == 1 and next(iter(data)) in _VARIABLES:
        raise _error(path, f"holds {next(iter(data))} where {variable} is expected; import it as {next(iter(data))}")
    return Loaded(data, loaded.warnings)


def _read_python(path: Path, text: str, variable: str) -> Loaded:
    data, warnings = read_python(text, path.name, variable)
    return Loaded(data, tuple(warnings))


class _DuplicateKeyError(ValueError):
    """A key stands twice in one dictionary; the parsers would keep the last one without a word."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _DuplicateKeyError(twice)
    return result


def _no_constant(_: str) -> None:
    message = "NaN and Infinity are no JSON"
    raise ValueError(message)


def _read_json(path: Path, text: str, _: str) -> Loaded:
    try:
        return Loaded(json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant))
    except json.JSONDecodeError as error:
        raise _error(path, f"line {error.lineno}: is no valid JSON ({error.msg})") from None
    except _DuplicateKeyError as error:
        raise _error(path, f"the key {error.args[0]!r} stands twice in one dictionary; remove one of them") from None
    except (ValueError, RecursionError):
        raise _error(path, "is no valid JSON; NaN, Infinity and very deep nesting are not read") from None


class _TooLargeError(ValueError):
    """A few lines of aliases stand for more than anybody can read."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which builds plain data only, with keys that must be unique."""

    def get_single_node(self) -> yaml.Node | None:
        """The document, unless its aliases multiply it: whoever walks through it meets each of them anew."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _expanded(node, {}) > _MOST_NODES:
            raise _TooLargeError
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    raise _DuplicateKeyError(key_node.value)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, its aliases followed; one within itself has no end."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1
        inner = node.value if isinstance(node, yaml.SequenceNode) else ()
        if isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
        known[id(node)] = 1 + sum(_expanded(each, known) for each in inner)
    return known[id(node)]


def _read_yaml(path: Path, text: str, _: str) -> Loaded:
    try:
        return Loaded(yaml.load(text, Loader=_Loader))  # noqa: S506 - a SafeLoader with unique keys
    except _DuplicateKeyError as error:
        raise _error(path, f"the key {error.args[0]!r} stands twice in one dictionary; remove one of them") from None
    except _TooLargeError:
        raise _error(path, "is too large once its aliases (*name) are followed; write the parts out") from None
    except yaml.MarkedYAMLError as error:
        # The parser's own words are left out: they can quote the text, such as an unquoted password.
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise _error(path, f"{line}is no valid YAML here; check indentation and quotes (tags are not read)") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise _error(path, "is no valid YAML; check for control characters and very deep nesting") from None


_READERS: dict[str, Callable[[Path, str, str], Loaded]] = {
    ".py": _read_python,
    ".json": _read_json,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}
