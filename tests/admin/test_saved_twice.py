"""Who comes back to the form of a mapping that is saved already is told where the mapping is."""

from __future__ import annotations

import pytest

from migrations_app.admin.mapping_pages import overview_url
from migrations_app.models import Mapping
from tests.admin.editing import editor, page, spec, store_ends
from tests.controlplane.builders import raw_mapping
from tests.controlplane.pages import accepted, url

pytestmark = pytest.mark.django_db


def test_form_that_is_saved_a_second_time_leads_to_what_it_made() -> None:
    store_ends(raw_mapping())
    client = editor()
    assert accepted(client.post(url(Mapping, "add"), page(spec())))

    again = client.post(url(Mapping, "add"), page(spec("items")))

    made = Mapping.objects.get(pk="jobs")
    link = f'exists already: <a class="dms-link" href="{overview_url(made)}">jobs</a>.'
    assert link in again.content.decode()
    assert [row.name for row in made.spec_rows()] == ["orders"], "nothing of it was changed"


def test_id_of_a_mapping_that_is_there_is_escaped_and_nothing_else_is_said_of_it() -> None:
    store_ends(raw_mapping())

    answer = editor().post(url(Mapping, "add"), page(spec(), id="<script>alert(1)</script>")).content.decode()

    assert "<script>alert(1)" not in answer
    assert "exists already" not in answer
