"""The OpenAPI document: what the decorators say, and the contract of a mapping beside it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import ResolvedComponent
from pydantic.json_schema import model_json_schema

from connectors.mapping import Mapping, ServiceSettings
from connectors.mapping.destination import DESTINATIONS
from connectors.mapping.source import SOURCES
from migrations_app.api.problems import MEDIA_TYPE, TITLES

_REF = "#/components/schemas/{model}"


class PydanticModels(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Models as they are read, so that a key with a default need not be sent."""

    target_class = "pydantic.BaseModel"
    match_subclasses = True
    priority = 1

    def get_name(self, auto_schema: Any, direction: Any) -> str:  # noqa: ARG002 - drf-spectacular's signature
        """The component's name; parts of others are registered by their name alone, which is no collision."""
        set_override(self.target, "suppress_collision_warning", True)
        return str(self.target.model_config.get("title") or self.target.__name__)

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:  # noqa: ARG002 - drf-spectacular's signature
        """The model's JSON schema; what it is made of becomes components."""
        schema = model_json_schema(self.target, ref_template=_REF, by_alias=True)
        for name, part in schema.pop("$defs", {}).items():
            component = ResolvedComponent(  # type: ignore[no-untyped-call]
                name=name, type=ResolvedComponent.SCHEMA, object=name, schema=part
            )
            auto_schema.registry.register_on_missing(component)
        return schema


class BearerTokens(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tokens."""

    target_class = "migrations_app.api.callers.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002 - drf-spectacular's signature
        """As OpenAPI describes it."""
        return {"type": "http", "scheme": "bearer", "description": "made with `manage.py create_token`"}


class Sessions(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """People who are signed in."""

    target_class = "migrations_app.api.callers.PageAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002 - drf-spectacular's signature
        """As OpenAPI describes it."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "signed in to the admin"}


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of this version."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


def finish(result: dict[str, Any], generator: Any, request: Any, public: Any) -> dict[str, Any]:  # noqa: ARG001 - a hook of drf-spectacular
    """Add the documents of the contract as components."""
    schemas = result["components"]["schemas"]
    for name, model in contract_models().items():
        schema = model_json_schema(model, ref_template=_REF, by_alias=True)
        for part_name, part in schema.pop("$defs", {}).items():
            schemas.setdefault(part_name, part)
        schemas[name] = schema
    for noun, models in (("Source", SOURCES), ("Destination", DESTINATIONS)):
        schemas[noun] = {
            "description": f"a {noun.lower()} of a mapping",
            "oneOf": [{"$ref": _REF.format(model=model.__name__)} for model in models.values()],
        }
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    result["components"]["responses"] = _named_problems(result)
    return result


def _named_problems(result: dict[str, Any]) -> dict[str, Any]:
    """Refer to problems by name, since most operations have the same; the components that they are."""
    found: dict[str, Any] = {}
    for path in result["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if MEDIA_TYPE in response.get("content", {}):
                    name = f"Problem{status}"
                    found[name] = response | {"description": TITLES[int(status)]}
                    operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(found.items()))


def contract_models() -> dict[str, Any]:
    """The documents of the contract by the name of their component."""
    parts = {model.__name__: model for models in (SOURCES, DESTINATIONS) for model in models.values()}
    return {"Mapping": Mapping, "Settings": ServiceSettings, **parts}
