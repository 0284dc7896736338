"""The addresses of the API. What is done to a thing stands behind a colon: `POST /mappings/shop:pause`."""

from __future__ import annotations

from django.urls import path, re_path

from migrations_app.api import bundles, checkpoints, commands, documents, mappings, parts, problems, runs, settings

_MAPPING = "mappings/<str:mapping_id>"
_RUN = "runs/<str:run_id>"

urlpatterns = [
    path("openapi.json", documents.OpenApiView.as_view(), name="openapi"),
    re_path(r"^schemas/(?P<document>mapping|settings)\.json$", documents.SchemaView.as_view(), name="json-schema"),
    path("docs", documents.DocsView.as_view(), name="api-docs"),
    path("mappings", mappings.MappingsView.as_view()),
    path(f"{_MAPPING}/status", mappings.MappingStatusView.as_view()),
    path(f"{_MAPPING}/schedule", commands.ScheduleView.as_view()),
    path(f"{_MAPPING}/runs", runs.StartView.as_view()),
    path(f"{_MAPPING}/backfills", runs.BackfillView.as_view()),
    path(f"{_MAPPING}/checkpoint:reset", checkpoints.ResetView.as_view()),
    path(f"{_MAPPING}/checkpoint", checkpoints.CheckpointView.as_view()),
    path(f"{_MAPPING}:pause", commands.PauseView.as_view()),
    path(f"{_MAPPING}:resume", commands.ResumeView.as_view()),
    path(f"{_MAPPING}:test", commands.TestView.as_view()),
    path(f"{_MAPPING}:preview", commands.PreviewView.as_view()),
    path(_MAPPING, mappings.MappingView.as_view()),
    path("bundles/<str:bundle>", bundles.BundleView.as_view()),
    path("sources", parts.SourcesView.as_view()),
    path("sources/<str:name>/catalog", parts.CatalogView.as_view()),
    path("sources/<str:name>:test", parts.SourceTestView.as_view()),
    path("sources/<str:name>", parts.SourceView.as_view()),
    path("destinations", parts.DestinationsView.as_view()),
    path("destinations/<str:name>:test", parts.DestinationTestView.as_view()),
    path("destinations/<str:name>", parts.DestinationView.as_view()),
    path("settings", settings.SettingsView.as_view()),
    path("runs", runs.RunsView.as_view()),
    path(f"{_RUN}/logs", runs.LogView.as_view()),
    path(f"{_RUN}:stop", runs.StopView.as_view()),
    path(f"{_RUN}:retry", runs.RetryView.as_view()),
    path(_RUN, runs.RunView.as_view()),
    path("triggers/<str:trigger_id>", runs.TriggerView.as_view()),
    re_path(r"^(?P<rest>.*)$", problems.no_such_address),
]
