"""The field types that contract models share: names, columns, secrets, time zones, references to functions.

Each type carries its own sentence for a wrong value, so that models hold no checks of single fields.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pytz
from pydantic import (
    AfterValidator,
    SecretStr,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from connectors.mapping import env
from connectors.mapping.base import RULE, problem_error

MASK = "********"
MAX_IDENTIFIER_BYTES = 63
"""Longest name PostgreSQL keeps whole. Source: postgresql.org/docs/current/sql-syntax-lexical.html"""


def expect(sentence: str) -> WrapValidator:
    """Replace whatever pydantic says about a wrong value by one sentence.

    Sentences that our own checks raised are kept: they say more.
    """

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            ours = [line for line in error.errors(include_input=False) if line["type"] == RULE]
            raise problem_error(ours[0]["msg"] if ours else sentence) from None

    return WrapValidator(check)


def checked(check: Callable[[str], str]) -> AfterValidator:
    """Run a check that raises ValueError(sentence) and report the sentence as it stands."""

    def run(value: Any) -> Any:
        try:
            check(value.get_secret_value() if isinstance(value, SecretStr) else value)
        except ValueError as error:
            raise problem_error(str(error)) from None
        return value

    return AfterValidator(run)


def _name(text: str) -> str:
    if not text.strip():
        message = "must not be empty"
        raise ValueError(message)
    if text != text.strip() or any(ord(character) < 32 or ord(character) == 127 for character in text):
        message = "must not start or end with a space, nor hold control characters"
        raise ValueError(message)
    if env.is_reference(text):
        message = "references are read in source, destination, redis and settings only; write the value itself here"
        raise ValueError(message)
    return text


def _text_or_reference(text: str) -> str:
    if env.EnvRef.parse(text) is None and text:
        _name(text)
    return text


def _required_text_or_reference(text: str) -> str:
    return _text_or_reference(text) if text else _name(text)


def _secret(text: str) -> str:
    if text == MASK:
        message = "this is the mask that exports show in place of a secret; write the secret or env:NAME"
        raise ValueError(message)
    reference = env.EnvRef.parse(text)
    if reference is not None and reference.default:
        message = "a reference to a secret takes no default, as it would not be secret; set the variable"
        raise ValueError(message)
    return text


def _secret_url(text: str) -> str:
    _required_text_or_reference(text)
    if MASK in text:
        message = "the password in this address is the mask of an export; write the address again or env:NAME"
        raise ValueError(message)
    reference = env.EnvRef.parse(text)
    if reference is not None and reference.default and has_userinfo(reference.default):
        message = "the default of a reference must not hold a username or password; set the variable instead"
        raise ValueError(message)
    return text


def has_userinfo(url: str) -> bool:
    """Whether an address holds a username or password; one that cannot be read counts as holding them."""
    try:
        return urlsplit(url).username is not None or urlsplit(url).password is not None or "@" in url
    except ValueError:
        return True


def _identifier(text: str) -> str:
    _name(text)
    if len(text.encode()) > MAX_IDENTIFIER_BYTES:
        message = f"must not be longer than {MAX_IDENTIFIER_BYTES} bytes, as PostgreSQL would cut it"
        raise ValueError(message)
    return text


def _identifier_or_reference(text: str) -> str:
    if env.EnvRef.parse(text) is None:
        _identifier(text)
    return text


def _zone(text: str) -> str:
    if text not in pytz.all_timezones_set:
        message = "expected a time zone name of the IANA list, such as Asia/Kolkata, Europe/Paris or UTC"
        raise ValueError(message)
    return text


_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)


def _dotted(text: str) -> str:
    if not _DOTTED.fullmatch(text):
        message = "expected the dotted name of an importable function, such as 'package.module.function'"
        raise ValueError(message)
    return text


_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


def _bucket(text: str) -> str:
    if env.EnvRef.parse(text) is None and not _BUCKET.fullmatch(text):
        message = "expected the bare name of a bucket (letters, digits, dots, dashes), without s3:// or a path"
        raise ValueError(message)
    return text


def _suffix(text: str) -> str:
    if env.EnvRef.parse(text) is None and not re.fullmatch(r"[\w.-]*", text, re.ASCII):
        message = "a suffix may hold letters, digits, dots, dashes and underscores only"
        raise ValueError(message)
    return text


def _table_name(text: str) -> str:
    _name(text)
    if text.count(".") > 1 or text.startswith(".") or text.endswith("."):
        message = "expected 'table' or 'schema.table' as the source spells it, or '*' for every table"
        raise ValueError(message)
    return text


def _query(text: str) -> str:
    if not text.strip():
        message = "must not be empty"
        raise ValueError(message)
    return text


_INDEX_DDL = re.compile(r"\s*create\s+(?:unique\s+)?index\b", re.IGNORECASE)


def _index_ddl(text: str) -> str:
    if not _INDEX_DDL.match(text):
        message = "expected the CREATE INDEX or CREATE UNIQUE INDEX statement of the index"
        raise ValueError(message)
    return text


Flag = StrictBool
Count = StrictInt

Name = Annotated[str, checked(_name)]
Text = Annotated[str, checked(_text_or_reference)]
"""Text that may be empty or an env: reference."""
RequiredText = Annotated[str, checked(_required_text_or_reference)]
"""Text that must not be empty and may be an env: reference."""
Secret = Annotated[SecretStr, checked(_secret)]
SecretUrl = Annotated[SecretStr, checked(_secret_url)]
"""An address that may hold a password."""
Identifier = Annotated[str, checked(_identifier)]
SchemaName = Annotated[str, checked(_identifier_or_reference)]
Zone = Annotated[str, checked(_zone)]
FunctionPath = Annotated[str, checked(_dotted)]
Bucket = Annotated[str, checked(_bucket)]
Suffix = Annotated[str, checked(_suffix)]
TableName = Annotated[str, checked(_table_name)]
Query = Annotated[str, checked(_query)]
IndexDdl = Annotated[str, checked(_index_ddl)]

Columns = Annotated[Name | tuple[Name, ...], expect("expected a column name, or a list of column names")]
ColumnsOrFalse = Annotated[
    Literal[False] | Name | tuple[Name, ...],
    expect("expected a column name, a list of column names, or False"),
]
ColumnOrFalse = Annotated[Literal[False] | Name, expect("expected a column name, or False for none")]


def as_tuple(value: str | tuple[str, ...] | Literal[False] | None) -> tuple[str, ...]:
    """One name, several or none, as a tuple."""
    if value is None or value is False:
        return ()
    return (value,) if isinstance(value, str) else value
