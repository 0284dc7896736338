"""The API's own documents: OpenAPI with its pages, and the JSON schema of a mapping for editors."""

from __future__ import annotations

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, JsonResponse
from django.urls import reverse_lazy
from django.views.generic import TemplateView, View

from connectors.mapping.schema import mapping_json_schema, settings_json_schema
from migrations_app.api.openapi import openapi_document

_SCHEMAS = {"mapping": mapping_json_schema, "settings": settings_json_schema}


class OpenApiView(View):
    """The document for programs; there is nothing secret in it."""

    def get(self, _request: HttpRequest) -> JsonResponse:
        """As JSON."""
        return JsonResponse(openapi_document())


class SchemaView(View):
    """JSON schemas of the documents that people write, for their editors."""

    def get(self, _request: HttpRequest, document: str) -> JsonResponse:
        """Without a token, as editors have none."""
        return JsonResponse(_SCHEMAS[document](), content_type="application/schema+json")


class DocsView(LoginRequiredMixin, TemplateView):
    """The document to look at and to try out, for people who are signed in."""

    template_name = "api/docs.html"
    login_url = reverse_lazy("admin:login")
