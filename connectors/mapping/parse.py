"""The way in: a raw dictionary becomes a frozen model, or one error with every mistake in it."""

from collections.abc import Sequence

from pydantic import ValidationError

from connectors.mapping.diagnose import diagnose_mapping, diagnose_settings
from connectors.mapping.errors import Issue, MappingError
from connectors.mapping.mapping import Mapping
from connectors.mapping.messages import issue_of
from connectors.mapping.settings import ServiceSettings


def parse_mapping(raw: object, *, function_prefixes: Sequence[str] | None = None) -> Mapping:
    """Read a mapping.

    Args:
        raw: the document as a dictionary.
        function_prefixes: dotted prefixes under which get_table_name and process_dict may lie; None checks
            their form only, for callers that load no function.

    Returns:
        The mapping; environment references in it are kept as they are.

    Raises:
        MappingError: the document breaks the contract; it lists every mistake.
    """
    try:
        mapping = Mapping.model_validate(raw)
    except ValidationError as error:
        lines = error.errors(include_input=False, include_url=False)
    else:
        issues = [] if function_prefixes is None else _function_issues(mapping, function_prefixes)
        if issues:
            raise MappingError(issues)
        return mapping
    raise MappingError(diagnose_mapping(raw) or [issue_of(line, Mapping, ()) for line in lines])


def parse_settings(raw: object) -> ServiceSettings:
    """Read the settings.

    Args:
        raw: the document as a dictionary.

    Returns:
        The settings; environment references in them are kept as they are.

    Raises:
        MappingError: the document breaks the contract; it lists every mistake.
    """
    try:
        return ServiceSettings.model_validate(raw)
    except ValidationError as error:
        lines = error.errors(include_input=False, include_url=False)
    raise MappingError(
        diagnose_settings(ServiceSettings, raw) or [issue_of(line, ServiceSettings, ()) for line in lines]
    )


def _function_issues(mapping: Mapping, prefixes: Sequence[str]) -> list[Issue]:
    """Find functions that lie outside the allowed packages."""
    named: list[tuple[tuple[str | int, ...], str | None]] = []
    for key in ("get_table_name", "process_dict"):
        named.append(((key,), getattr(mapping, key)))
        named.extend((("topics", i, key), getattr(topic, key)) for i, topic in enumerate(mapping.topics or ()))
    allowed = tuple(prefix.rstrip(".") + "." for prefix in prefixes)
    places = ", ".join(prefixes) or "none"
    message = f"lies outside the packages that functions may come from ({places}); move it into one of them"
    return [Issue(loc, message) for loc, path in named if path is not None and not path.startswith(allowed)]
