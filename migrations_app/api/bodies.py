"""Reading what is sent: bodies of the types that are taken, and parameters, each into a frozen model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from django.conf import settings
from pydantic import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from connectors.mapping import MappingError
from connectors.mapping.base import Contract
from connectors.mapping.files import load_text
from connectors.mapping.messages import issue_of
from migrations_app.api.problems import Mistake, Problem, mistakes

Model = TypeVar("Model", bound=Contract)

#: Documents are four levels deep, and a level more in a bundle.
_DEEPEST = 32
_NEVER = "\0"


class JsonParser(BaseParser):
    """JSON, without what the standard leaves open."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - REST framework's signature
        """Read the body.

        Raises:
            Problem: It is too large, or no JSON.
        """
        text = _text(stream)
        try:
            read = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        except json.JSONDecodeError as error:
            message = f"the body is no JSON: line {error.lineno}, column {error.colno}"
            raise Problem(400, "malformed", message) from None
        except (ValueError, RecursionError) as error:
            message = str(error) if isinstance(error, _TwiceError) else "the body is no JSON that is read here"
            raise Problem(400, "malformed", message) from None
        _check(read)
        return read


class _FileParser(BaseParser):
    """A mapping file as it is: what a repository holds can be sent unchanged."""

    ending: str

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - REST framework's signature
        """Read the body; Python is looked at and never run.

        Raises:
            Problem: It is too large, or holds more than literals.
        """
        return read_file(_text(stream), f"body{self.ending}", "")


class PythonParser(_FileParser):
    """A Python file with `mapping = {...}`."""

    media_type = "text/x-python"
    ending = ".py"


class YamlParser(_FileParser):
    """A YAML file."""

    media_type = "application/yaml"
    ending = ".yaml"


def read_file(text: str, name: str, at: str) -> dict[str, Any]:
    """The document that a file holds.

    Args:
        text: Its content.
        name: Its name; the ending tells the language.
        at: JSON pointer to it, for mistakes.

    Raises:
        Problem: It cannot be read.
    """
    try:
        data = load_text(text, name).data
    except MappingError as error:
        detail = "the file cannot be read as a mapping"
        raise Problem(400, "malformed", detail, errors=mistakes(error.issues, at)) from None
    except RecursionError:
        raise Problem(400, "malformed", "the file is nested too deeply") from None
    _check(data)
    return data


def read_body(request: Request, model: type[Model]) -> Model:
    """The body as a model; none counts as an empty object.

    Raises:
        Problem: It has mistakes; all are listed.
    """
    raw = request.data if request.META.get("CONTENT_LENGTH") not in {None, "", "0"} else {}
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = error.errors(include_input=False, include_url=False)
    issues = [issue_of(line, model, ()) for line in lines]
    detail = "the body has mistakes; each is listed under errors"
    raise Problem(422, "document_invalid", detail, errors=mistakes(issues))


def read_object(request: Request) -> dict[str, Any]:
    """The body as it is, when it is an object.

    Raises:
        Problem: It is something else.
    """
    raw = request.data
    if not isinstance(raw, dict) or request.META.get("CONTENT_LENGTH") in {None, "", "0"}:
        mistake = Mistake(code="wrong_type", detail="expected an object of keys and values")
        raise Problem(422, "document_invalid", "the body is no document", errors=[mistake])
    return raw


def read_query(request: Request, model: type[Model]) -> Model:
    """The parameters as a model. One that is not known is refused: a typing mistake in dry_run must not change things.

    Raises:
        Problem: A parameter is unknown, given twice, or not what it should be.
    """
    given: dict[str, str] = {}
    wrong: list[Mistake] = []
    for name, values in request.query_params.lists():
        given[name] = str(values[-1])
        if len(values) > 1 or _NEVER in "".join(map(str, values)):
            detail = "is given more than once, or holds a character that no value has"
            wrong.append(Mistake(parameter=name[:100], code="invalid", detail=detail))
    try:
        if not wrong:
            return model.model_validate_strings(given)
    except ValidationError as error:
        for line in error.errors(include_input=False, include_url=False):
            issue = issue_of(line, model, ())
            name = str(issue.loc[0])[:100] if issue.loc else ""
            wrong.append(Mistake(parameter=name, code=issue.code, detail=issue.message[:500]))
    raise Problem(400, "invalid_parameter", "parameters are wrong; each is listed under errors", errors=wrong)


class _TwiceError(ValueError):
    """A key stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key stands twice in one object of the body; remove one of them"
        raise _TwiceError(message)
    return found


def _no_number(_: str) -> None:
    message = "NaN and Infinity are no JSON"
    raise ValueError(message)


def _text(stream: Any) -> str:
    body = stream.read(settings.DMS_API_BODY_BYTES + 1)
    if len(body) > settings.DMS_API_BODY_BYTES:
        raise Problem(413, "too_large", f"the body is larger than {settings.DMS_API_BODY_BYTES} bytes; send less")
    try:
        return str(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Problem(400, "malformed", "the body is no UTF-8 text") from None


def _check(read: Any) -> None:
    """Refuse what could be parsed and not be kept: texts that are no Unicode, and nesting that nothing needs."""
    seen: set[int] = set()
    waiting: list[tuple[Any, int]] = [(read, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, dict | list) and id(value) not in seen:
            # A file may hold one value in several places; each is looked at once.
            seen.add(id(value))
            if depth >= _DEEPEST:
                raise Problem(400, "malformed", f"the body is nested more than {_DEEPEST} levels deep")
            inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            waiting += [(each, depth + 1) for each in inner]


def _check_text(text: str) -> None:
    if _NEVER in text:
        raise Problem(400, "malformed", "the body holds the character U+0000, which no value has")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Problem(400, "malformed", "the body holds half of a surrogate pair, which is no character") from None
