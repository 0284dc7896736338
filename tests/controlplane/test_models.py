"""What the control database itself guards."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connection, transaction
from django.db.migrations import CreateModel
from django.db.migrations.loader import MigrationLoader

from connectors.base import Options
from connectors.mapping import ApiSpec, CollectionSpec, TableSpec, TopicSpec
from migrations_app.enums import Noun, RunState
from migrations_app.models import Run
from migrations_app.models.specs import SPEC_ROWS
from tests.controlplane.builders import make_run, make_stream


@pytest.mark.django_db
@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_stream_has_one_active_run(state: RunState) -> None:
    stream = make_stream()
    make_run(stream, state=state)

    with pytest.raises(IntegrityError), transaction.atomic():
        make_run(stream, state=RunState.QUEUED)


@pytest.mark.django_db
def test_ended_runs_do_not_hold_their_stream() -> None:
    stream = make_stream()
    for state in (RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.LOST, RunState.RUNNING):
        make_run(stream, state=state)

    assert Run.objects.count() == 5


@pytest.mark.parametrize("contract", [TableSpec, CollectionSpec, TopicSpec, ApiSpec])
def test_columns_are_keys_of_the_contract_with_its_defaults(
    contract: type[TableSpec] | type[CollectionSpec] | type[TopicSpec] | type[ApiSpec],
) -> None:
    for field in SPEC_ROWS[Noun(contract.noun)].key_fields():
        key = contract.model_fields[field.name]
        if field.has_default() and not key.is_required():
            assert field.get_default() == key.get_default(call_default_factory=True), field.name


#: Options that the run and the service settings of the document give.
_FROM_ELSEWHERE = {"allow_deletes", "keepalive"}


def test_options_of_the_service_are_those_of_the_data_plane() -> None:
    defaults = Options()

    assert Options(**django_settings.DMS_OPTIONS) == defaults
    assert set(django_settings.DMS_OPTIONS) == set(Options.__slots__) - _FROM_ELSEWHERE


def test_kinds_and_states_need_no_django_migration() -> None:
    state = MigrationLoader(connection, ignore_no_migrations=True, load=False)
    state.load_disk()
    migration = state.disk_migrations["migrations_app", "0001_initial"]
    (run,) = (each for each in migration.operations if isinstance(each, CreateModel) and each.name == "Run")
    choices = dict(run.fields)["state"].deconstruct()[3]["choices"]

    assert callable(choices)
