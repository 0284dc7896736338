"""The page of a mapping with as many specs as discovery makes can be saved."""

from __future__ import annotations

import pytest
from django.test import Client

from migrations_app.admin.discovering import MAX_SPECS
from migrations_app.models import Mapping, TableSpec
from tests.admin.editing import page, spec, store_ends
from tests.controlplane.builders import raw_mapping
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db

#: What the page sends for one table; a test of the form's own fields holds it.
FIELDS = 40


def test_mapping_of_all_that_can_be_ticked_is_saved(admin_client: Client) -> None:
    store_ends(raw_mapping())
    names = [f"t{number}" for number in range(MAX_SPECS)]
    more = {f"more_{number}": "" for number in range(FIELDS)}
    form = page(*(spec(name, position=str(at), **more) for at, name in enumerate(names)))
    assert admin_client.post(url(Mapping, "add"), form).status_code == 302
    assert TableSpec.objects.count() == MAX_SPECS


def test_table_has_no_more_fields_than_that(admin_client: Client) -> None:
    answer = admin_client.get(url(Mapping, "add"))
    (tables,) = [each for each in answer.context["inline_admin_formsets"] if each.formset.model is TableSpec]
    assert len(tables.formset.empty_form.fields) <= FIELDS
