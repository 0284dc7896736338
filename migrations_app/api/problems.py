"""Refusals as RFC 9457 problems: what is wrong, where, and a code for programs. Never a value or a secret."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from pydantic import BaseModel, ConfigDict, Field
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from connectors.errors import ConfigError, ConnectorError
from connectors.mapping import Issue, MappingError
from connectors.mapping.errors import INVALID
from migrations_app import senders
from migrations_app.api.changes import ChangeShape, shapes_of
from migrations_app.masking import mask
from migrations_app.runs import AlreadyRunningError
from migrations_app.secrets import SecretUnreadableError
from migrations_app.verbs.registering import ConflictError, LockedError, StaleError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:dms:problem:"
_BUSY_S = 5

TITLES: Mapping[int, str] = {
    400: "The request cannot be read",
    401: "A token is needed",
    403: "The token may not do this",
    404: "There is no such thing",
    405: "The address does not take this method",
    409: "What is there does not allow this now",
    412: "It has been changed meanwhile",
    413: "The request is too large",
    415: "The body is of a type that is not read here",
    422: "The document has mistakes",
    423: "A run is active",
    424: "The other end refuses or cannot be reached",
    428: "If-Match is needed",
    429: "Too many requests",
    500: "The service failed",
    503: "The service is busy",
}


class Mistake(BaseModel):
    """One mistake, at one place of what was sent."""

    pointer: str = Field(default="", description="JSON pointer into the body; empty for the whole, or a parameter")
    parameter: str | None = Field(default=None, description="the parameter or header that it is about")
    code: str = Field(description="kind of mistake: required, unknown_key, wrong_type, not_a_choice and others")
    detail: str = Field(description="what was expected, and what to do")


class ProblemBody(BaseModel):
    """A refusal, as RFC 9457 has it."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="the code as a URN")
    title: str = Field(description="the status in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="what is wrong and what to do")
    instance: str = Field(description="the address that was asked")
    code: str = Field(description="what is wrong, for programs; docs/api.md lists the codes")
    request_id: str = Field(description="under which the service's log has it")
    errors: list[Mistake] = Field(default=[], description="every mistake of the document, all at once")
    changes: list[ChangeShape] = Field(default=[], description="the changes that are not allowed as they are")
    runs: list[str] = Field(default=[], description="ids of the runs that are in the way")


class Problem(Exception):
    """A refusal by the API itself.

    Args:
        status: Of HTTP.
        code: For programs.
        detail: For people.
        errors: Mistakes one by one.
        headers: To be sent along.
        more: Further members of the problem.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Iterable[Mistake] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.more = more


def not_found(name: object, *, noun: str) -> Problem:
    """What is asked for does not exist, or what it is called is no name for it."""
    return Problem(404, "not_found", f"there is no {noun} {str(name)[:100]}; list them to see what there is")


def mistakes(issues: Iterable[Issue], at: str = "") -> list[Mistake]:
    """Mistakes of a document, each with its JSON pointer; `at` is that of the document in the body."""
    return [Mistake(pointer=at + issue.pointer, code=issue.code, detail=mask(issue.message)) for issue in issues]


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """The answer for whatever a view raises."""
    problem = _problem_of(error)
    set_rollback()
    request = context["request"]
    if problem.status >= 500:
        logger.error("request failed: %s", type(error).__name__, exc_info=error, extra={"action": "api"})
    return Response(body_of(problem, request), status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


def body_of(problem: Problem, request: Any) -> dict[str, Any]:
    """The document of a refusal."""
    body = ProblemBody(
        type=f"{_TYPE}{problem.code}",
        title=TITLES.get(problem.status, "Refused"),
        status=problem.status,
        detail=mask(problem.detail),
        instance=request.path[:500],
        code=problem.code,
        request_id=senders.request_id_of(request),
        errors=problem.errors,
        **problem.more,
    )
    return body.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def no_such_address(request: HttpRequest, rest: str = "") -> JsonResponse:  # noqa: ARG001 - the path's own part
    """The answer for addresses below the API's that lead nowhere."""
    problem = Problem(404, "not_found", "the API has no such address; its document is at /api/v1/openapi.json")
    headers = {senders.HEADER: senders.request_id_of(request)}
    return JsonResponse(body_of(problem, request), status=404, content_type=MEDIA_TYPE, headers=headers)


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    for kind, translate in _TRANSLATIONS:
        if isinstance(error, kind):
            return translate(error)
    detail = "something went wrong here; tell whoever runs the service the request id"
    return Problem(500, "internal_error", detail)


def _document(error: Any) -> Problem:
    count = len(error.issues)
    detail = f"{count} mistake{'' if count == 1 else 's'}; each is listed under errors"
    return Problem(422, "document_invalid", detail, errors=mistakes(error.issues))


def _conflict(error: Any) -> Problem:
    return Problem(409, error.code, str(error), changes=shapes_of(error.changes))


def _running(error: Any) -> Problem:
    return Problem(409, "already_running", str(error), runs=[str(error.run.pk)])


def _locked(error: Any) -> Problem:
    return Problem(423, "locked", str(error), headers={"Retry-After": str(_BUSY_S)})


def _other_end(error: Any) -> Problem:
    code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
    return Problem(424, code, str(error))


def _framework(error: Any) -> Problem:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(error.wait))
    code = _CODES.get(error.status_code, INVALID)
    return Problem(error.status_code, code, str(error.detail), headers=headers)


def _busy(_: Exception) -> Problem:
    detail = "the control database does not answer in time; send it again"
    return Problem(503, "busy", detail, headers={"Retry-After": str(_BUSY_S)})


_CODES = {
    400: "malformed",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    415: "unsupported_media_type",
    429: "throttled",
}
_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[Any], Problem]], ...] = (
    (MappingError, _document),
    (ConflictError, _conflict),
    (StaleError, lambda error: Problem(412, "stale", str(error))),
    (LockedError, _locked),
    (AlreadyRunningError, _running),
    (SecretUnreadableError, lambda error: Problem(409, "secret_unreadable", str(error))),
    (ConfigError, lambda error: Problem(422, "not_possible", str(error))),
    (ConnectorError, _other_end),
    (exceptions.APIException, _framework),
    (Http404, lambda _: Problem(404, "not_found", "there is no such thing here")),
    (PermissionDenied, lambda error: Problem(403, "forbidden", str(error) or "you may not do this")),
    (RequestDataTooBig, lambda _: Problem(413, "too_large", "the body is too large; send less at a time")),
    (SuspiciousOperation, lambda _: Problem(400, "malformed", "the request cannot be read")),
    (OperationalError, _busy),
    (InterfaceError, _busy),
)
