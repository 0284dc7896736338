"""What all addresses of the API share: who may ask, what is read and answered, and how it is documented."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from connectors.mapping.base import Contract
from migrations_app import senders
from migrations_app.api import problems
from migrations_app.api.bodies import JsonParser, read_query
from migrations_app.api.callers import (
    Caller,
    CallerThrottle,
    HasScope,
    PageAuthentication,
    TokenAuthentication,
    caller_of,
)
from migrations_app.api.problems import Problem, ProblemBody
from migrations_app.audit import Actor
from migrations_app.enums import Door, Scope

logger = logging.getLogger(__name__)

Handler = TypeVar("Handler", bound=Callable[..., Any])

#: Where a method keeps what its decorator said.
_OPERATION = "dms_operation"
_READS = frozenset({"GET", "HEAD"})


class NoQuery(Contract):
    """An operation without parameters."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known of an operation before it is carried out.

    Attributes:
        scope: What the caller needs; None for an operation that is open to everybody.
        query: Its parameters.
    """

    scope: Scope | None
    query: type[Contract]


class _Json(BaseContentNegotiation):
    """There is one type of answer, whatever a browser asks for."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        given = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == given), None)

    def select_renderer(self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None) -> Any:  # noqa: ARG002 - REST framework's signature
        chosen = next(iter(renderers))
        return chosen, chosen.media_type


class ApiView(APIView):
    """An address. Its methods are decorated with `operation`."""

    authentication_classes = (TokenAuthentication, PageAuthentication)
    permission_classes = (HasScope,)
    throttle_classes = (CallerThrottle,)
    parser_classes: tuple[type[BaseParser], ...] = (JsonParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = _Json
    http_method_names = ["get", "head", "put", "post", "delete"]  # noqa: RUF012 - Django's own attribute

    query: Contract
    _began = 0.0

    @property
    def operation(self) -> Operation | None:
        """Of the method that was asked for; None when the address does not take it."""
        handler = getattr(self, str(self.request.method).lower(), None)
        return getattr(handler, _OPERATION, None)

    @property
    def caller(self) -> Caller:
        """Who asks; operations with a scope have somebody."""
        found = caller_of(self.request)
        if found is None:
            raise Problem(401, "not_authenticated", "a token is needed")
        return found

    @property
    def actor(self) -> Actor:
        """The same for the audit log."""
        sender, request_id = senders.sender_of(self.request), senders.request_id_of(self.request)
        return Actor(self.caller.name, Door.API, sender, request_id)

    def need(self, scope: Scope) -> None:
        """Refuse callers without a scope that only some requests to this address need.

        Raises:
            Problem: The caller does not have it.
        """
        if scope not in self.caller.scopes:
            detail = f"the scope {scope} is needed for this, which {self.caller.name} does not have"
            raise Problem(403, "forbidden", detail)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Look at the caller and at the parameters."""
        self._began = time.monotonic()
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > settings.DMS_API_BODY_BYTES:
            raise Problem(413, "too_large", f"the body is larger than {settings.DMS_API_BODY_BYTES} bytes; send less")
        super().initial(request, *args, **kwargs)
        if self.operation is not None:
            self.query = read_query(request, self.operation.query)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Name the request in the answer and in the log."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished[senders.HEADER] = senders.request_id_of(request)
        finished.setdefault("Cache-Control", "no-store")
        if request.method not in _READS or finished.status_code >= 400:
            self._log(request, finished.status_code)
        return finished

    def _log(self, request: Request, status: int) -> None:
        try:
            caller = caller_of(request)
        except Exception:  # noqa: BLE001 - who could not be told is a stranger in the log
            caller = None
        logger.info(
            "%s %s: %s",
            request.method,
            request.path,
            status,
            extra={
                "action": "api",
                "request_id": senders.request_id_of(request),
                "caller": caller.name if caller else "",
                "seconds": round(time.monotonic() - self._began, 3) if self._began else 0.0,
            },
        )


def operation(
    name: str,
    summary: str,
    *,
    scope: Scope | None,
    answers: Mapping[int, Any],
    query: type[Contract] = NoQuery,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    refusals: Sequence[int] = (),
) -> Callable[[Handler], Handler]:
    """Say what a method of a view is, for those who call it and for those who read about it.

    Args:
        name: Of the operation; generated clients call their functions so.
        summary: One line.
        scope: What the caller needs.
        answers: Model, JSON schema or None for no content, by status.
        query: Its parameters.
        body: Model of the body, or JSON schemas by media type.
        headers: Headers that it reads, with what they are for.
        refusals: Statuses of problems beside those that every operation has.
    """
    statuses = {400, 429, 503, *refusals} | ({401, 403} if scope else set()) | ({413, 415, 422} if body else set())
    responses: dict[Any, Any] = {status: _described(model) for status, model in answers.items()}
    responses |= {(status, problems.MEDIA_TYPE): ProblemBody for status in sorted(statuses)}
    needs = f"Needs the scope `{scope}`." if scope else "Open to everybody."

    def wrap(handler: Handler) -> Handler:
        documented = extend_schema(
            operation_id=name,
            summary=summary,
            description=f"{(handler.__doc__ or summary).strip()}\n\n{needs}",
            parameters=[*_parameters(query), *_headers(headers or {})],
            request=body,
            responses=responses,
            auth=None if scope else [],
            extensions={"x-scope": scope.value} if scope else None,
        )(handler)
        setattr(documented, _OPERATION, Operation(scope, query))
        return documented

    return wrap


def answer(body: BaseModel | dict[str, Any], status: int = 200, **headers: str) -> Response:
    """An answer; underscores in names of headers stand for dashes."""
    data = body.model_dump(mode="json", by_alias=True) if isinstance(body, BaseModel) else body
    return Response(data, status=status, headers={key.replace("_", "-"): value for key, value in headers.items()})


def nothing() -> Response:
    """It is done, and there is nothing to say."""
    return Response(status=204)


def _described(model: Any) -> Any:
    if model is None:
        return OpenApiResponse(description="Done; nothing is said.")
    return model


def _parameters(query: type[Contract]) -> list[OpenApiParameter]:
    schema = query.model_json_schema()
    required = schema.get("required", [])
    return [
        OpenApiParameter(
            name,
            type=_parameter_type(each, schema.get("$defs", {})),
            required=name in required,
            description=each.get("description", ""),
        )
        for name, each in schema.get("properties", {}).items()
    ]


def _parameter_type(schema: dict[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """What a parameter may be; a parameter that is left out is not null, and one that has parts stands for itself."""
    if "$ref" in schema:
        return _parameter_type(parts[schema["$ref"].rpartition("/")[2]], parts)
    kept = {key: value for key, value in schema.items() if key not in {"title", "description", "default"}}
    options = [option for option in kept.get("anyOf", ()) if option != {"type": "null"}]
    if options:
        del kept["anyOf"]
        read = [_parameter_type(option, parts) for option in options]
        kept |= read[0] if len(read) == 1 else {"anyOf": read}
    return kept


def _headers(headers: Mapping[str, str]) -> list[OpenApiParameter]:
    return [
        OpenApiParameter(name, type=str, location=OpenApiParameter.HEADER, description=text)
        for name, text in headers.items()
    ]
