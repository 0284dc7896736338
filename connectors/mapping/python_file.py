"""Reading a mapping from Python source by its syntax tree: literals and os.getenv. Nothing in the file is run."""

import ast
import copy
import datetime as dt
import re
import warnings as python_warnings
from typing import Any

from connectors.mapping.env import EnvRef, is_reference
from connectors.mapping.errors import Issue, MappingError

FUNCTION_KEYS = ("get_table_name", "process_dict")

#: Values and characters that names may stand for in a file.
_MOST_COPIED = 4 * 1024 * 1024
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODULES = ("os", "datetime")
_IGNORED_MODULES = ("dotenv", "__future__", "typing")
_ONLY_LITERALS = (
    "only literals, os.getenv('NAME'), os.environ['NAME'], datetime.time(...) and datetime.timedelta(...) are read"
)


class _Refused(Exception):
    """This expression cannot be read without running it."""

    def __init__(self, node: ast.AST, message: str) -> None:
        super().__init__(message)
        self.line = getattr(node, "lineno", 1)


def read_python(text: str, file_name: str, variable: str) -> tuple[dict[str, Any], list[str]]:
    """Read the dictionary that is assigned to a variable.

    Args:
        text: the source.
        file_name: for messages.
        variable: mapping or settings.

    Returns:
        The value, with references in place of os.getenv calls, and warnings about what was left out.

    Raises:
        MappingError: the source holds something that would have to be run; every such place with its line.
    """
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            tree = ast.parse(text)
        reader = _Reader(file_name, tree)
        reader.run(tree)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        message = f"{file_name}{line}: is no valid Python ({error.msg})"
        raise MappingError([Issue((), message)]) from None
    except (ValueError, RecursionError, MemoryError):
        message = f"{file_name}: is no readable Python; it holds null bytes or is nested too deeply"
        raise MappingError([Issue((), message)]) from None
    if not reader.issues and variable not in reader.values:
        message = f"{file_name}: assigns no variable named {variable}; write `{variable} = {{...}}`"
        reader.issues.append(Issue((), message))
    if reader.issues:
        raise MappingError(reader.issues)
    return reader.values[variable], reader.warnings


class _Reader:
    """Walks over the statements of one file."""

    def __init__(self, file_name: str, tree: ast.Module) -> None:
        self.file_name = file_name
        self.issues: list[Issue] = []
        self.warnings: list[str] = []
        self.values: dict[str, Any] = {}
        self.copied = [0]
        self.names = {"os": "os", "datetime": "datetime"}
        self.has_functions = any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in tree.body)

    def run(self, tree: ast.Module) -> None:
        """Read every statement; what cannot be read becomes an issue."""
        for node in tree.body:
            try:
                self._statement(node)
            except _Refused as refused:
                self.issues.append(Issue((), f"{self.file_name}, line {refused.line}: {refused}"))

    def _warn(self, node: ast.stmt, sentence: str) -> None:
        self.warnings.append(f"{self.file_name}, line {node.lineno}: {sentence}")

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._function(node, node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            self._assignment(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass
        elif isinstance(node, ast.Expr) and self._is_load_dotenv(node.value):
            self._warn(node, "load_dotenv() is not run; set the variables in the service's own environment")
        elif not isinstance(node, ast.Pass):
            message = "is a statement that would have to be run; keep to imports and assignments of literals"
            raise _Refused(node, message)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            name = f"{module}.{alias.name}" if module else alias.name
            root = name.partition(".")[0]
            if root in _MODULES:
                self.names[alias.asname or alias.name] = name
            elif self.has_functions and root not in _IGNORED_MODULES:
                self._warn(node, f"the import of {root} is left out, like the functions that may use it")
            elif root not in _IGNORED_MODULES:
                message = f"imports {root}, which is not run; import os and datetime only and write values as literals"
                raise _Refused(node, message)

    def _function(self, node: ast.stmt, name: str) -> None:
        if name in FUNCTION_KEYS:
            sentence = (
                f"the function {name} is left out, as code of mapping files is never run; move it into an importable"
                f" module under the allowed prefix and name it by '{name}': 'package.module.{name}'"
            )
        else:
            sentence = f"the function {name} is left out, as code of mapping files is never run"
        self._warn(node, sentence)

    def _assignment(self, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        target = targets[0]
        if len(targets) != 1 or not isinstance(target, ast.Name):
            message = "assigns to something else than one name; write the whole dictionary in one assignment"
            raise _Refused(node, message)
        if node.value is None:
            return
        if isinstance(node.value, ast.Lambda) and target.id in FUNCTION_KEYS:
            self._function(node, target.id)
            return
        if target.id in self.values:
            message = f"assigns {target.id} a second time; keep one assignment"
            raise _Refused(node, message)
        self.values[target.id] = _Values(self.names, self.values, self.copied).read(node.value)

    @staticmethod
    def _is_load_dotenv(node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load_dotenv"


class _Values:
    """Reads expressions."""

    def __init__(self, names: dict[str, str], values: dict[str, Any], copied: list[int]) -> None:
        self.names = names
        self.values = values
        #: How much names have stood for so far, in the whole file.
        self.copied = copied

    def read(self, node: ast.expr) -> Any:
        """Give the value of an expression that needs no running."""
        match node:
            case ast.Constant(value=str() | int() | float() | None as value):
                return value
            case ast.Dict():
                return self._dict(node)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                return [self.read(element) for element in elements]
            case ast.Name():
                return self._name(node)
            case ast.UnaryOp() | ast.BinOp():
                return self._operation(node)
            case ast.Call():
                return self._call(node)
            case ast.Subscript() if self._dotted(node.value) == "os.environ":
                return str(EnvRef(self._variable(node, node.slice)))
        message = f"holds an expression that would have to be run; {_ONLY_LITERALS}"
        raise _Refused(node, message)

    def _dict(self, node: ast.Dict) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            value = self.read(value_node)
            if key_node is None:
                if not isinstance(value, dict):
                    message = "spreads something else than a dictionary"
                    raise _Refused(value_node, message)
                result |= value
                continue
            key = self.read(key_node)
            if not isinstance(key, str):
                message = "has a dictionary key that is not text"
                raise _Refused(key_node, message)
            if key in result:
                message = f"gives the key {key!r} twice in one dictionary; remove one of them"
                raise _Refused(key_node, message)
            result[key] = value
        return result

    def _name(self, node: ast.Name) -> Any:
        if node.id not in self.values:
            message = "uses a name that no literal above it defines; write the value itself, text in quotes"
            raise _Refused(node, message)
        self.copied[0] += _size(self.values[node.id])
        if self.copied[0] > _MOST_COPIED:
            message = "uses names that stand for names so often that the file is too large; write the parts out"
            raise _Refused(node, message)
        return copy.deepcopy(self.values[node.id])

    def _operation(self, node: ast.UnaryOp | ast.BinOp) -> Any:
        if isinstance(node, ast.UnaryOp):
            value = self.read(node.operand)
            if isinstance(node.op, ast.USub) and isinstance(value, int | float) and not isinstance(value, bool):
                return -value
        elif isinstance(node.op, ast.Add):
            left, right = self.read(node.left), self.read(node.right)
            if isinstance(left, str) and isinstance(right, str) and not (is_reference(left) or is_reference(right)):
                return left + right
        message = "computes a value; write the result, or put the whole text into one environment variable"
        raise _Refused(node, message)

    def _dotted(self, node: ast.expr) -> str:
        """The full name of an attribute of an imported module; empty for anything else."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            owner = self._dotted(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def _call(self, node: ast.Call) -> Any:
        name = self._dotted(node.func)
        if name in ("os.getenv", "os.environ.get"):
            return self._getenv(node)
        if name == "datetime.time":
            return self._moment(node, dt.time)
        if name == "datetime.timedelta":
            return self._moment(node, dt.timedelta)
        message = f"calls a function, which is not run; {_ONLY_LITERALS}"
        raise _Refused(node, message)

    def _getenv(self, node: ast.Call) -> str:
        named = [keyword.value for keyword in node.keywords if keyword.arg in ("key", "default")]
        arguments = [*node.args, *named]
        if len(arguments) not in (1, 2) or len(arguments) != len(node.args) + len(node.keywords):
            message = "reads an environment variable in another form than os.getenv('NAME', 'default')"
            raise _Refused(node, message)
        default = self.read(arguments[1]) if len(arguments) == 2 else None
        if not isinstance(default, str | None):
            message = "gives an environment variable a default that is not text; write it as text"
            raise _Refused(node, message)
        return str(EnvRef(self._variable(node, arguments[0]), default))

    def _variable(self, node: ast.expr, argument: ast.expr) -> str:
        name = self.read(argument)
        if not isinstance(name, str) or not _VARIABLE_NAME.fullmatch(name):
            message = "reads an environment variable whose name is not plain text of letters, digits and _"
            raise _Refused(node, message)
        return name

    def _moment(self, node: ast.Call, kind: type[dt.time] | type[dt.timedelta]) -> dt.time | dt.timedelta:
        try:
            arguments = [self.read(argument) for argument in node.args]
            keywords = {str(keyword.arg): self.read(keyword.value) for keyword in node.keywords}
            return kind(*arguments, **keywords)
        except (TypeError, ValueError, OverflowError):
            message = f"gives datetime.{kind.__name__} arguments that it does not take"
            raise _Refused(node, message) from None


def _size(value: Any) -> int:
    """Values and characters."""
    if isinstance(value, dict):
        return 1 + sum(_size(key) + _size(inner) for key, inner in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return 1 + (len(value) if isinstance(value, str) else 0)
