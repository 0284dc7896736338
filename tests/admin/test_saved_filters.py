"""Filters of the list of runs that people keep: their own alone, as many as fit, and nothing but filters."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from migrations_app.admin.saved_filters import MOST
from migrations_app.models import AuditEntry, Run, SavedFilter
from tests.admin.acting import VIEWER, person
from tests.controlplane.builders import make_run
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db

KEEP = reverse("admin:migrations_app_run_do_keep_filter")
FORGET = reverse("admin:migrations_app_run_do_forget_filter")
FAILED = "error_class=any&state__exact=failed"


def said(client: Client, address: str, **fields: str) -> str:
    answer: Any = client.post(address, fields, follow=True)
    assert answer.status_code == 200
    return "; ".join(str(message) for message in answer.context["messages"])


def listed(client: Client, query: str = "") -> str:
    answer = client.get(f"{url(Run, 'changelist')}?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_filter_is_kept_shown_as_a_link_and_deleted() -> None:
    make_run()
    ann = person(*VIEWER)
    assert "Keep this filter" not in listed(ann), "there is none"
    assert "Keep this filter" in listed(ann, "state__exact=failed")

    answer: Any = ann.post(KEEP, {"name": " Night  failures ", "query": "p=3&state__exact=failed&error_class=any&q="})

    assert answer.headers["Location"] == f"{url(Run, 'changelist')}?{FAILED}"
    kept = SavedFilter.objects.get()
    assert (kept.name, kept.query) == ("Night failures", FAILED)
    page = listed(ann, FAILED)
    assert f'href="?{FAILED.replace("&", "&amp;")}" aria-current="true">Night failures</a>' in page
    assert "Keep this filter" not in page, "it is kept already"
    assert "Night failures is deleted" in said(ann, FORGET, filter=str(kept.pk))
    assert not SavedFilter.objects.exists()
    assert not AuditEntry.objects.exists()


def test_filters_are_the_persons_own() -> None:
    ann, bob = person(*VIEWER), person(*VIEWER, name="bob")
    said(ann, KEEP, name="mine", query=FAILED)
    said(bob, KEEP, name="mine", query="state__exact=lost")
    of_ann = SavedFilter.objects.get(query=FAILED)

    assert "no such filter" in said(bob, FORGET, filter=str(of_ann.pk))
    assert SavedFilter.objects.count() == 2
    assert FAILED.replace("&", "&amp;") not in listed(bob)


def test_who_deletes_a_user_is_not_shown_the_names_of_his_filters(admin_client: Client) -> None:
    said(person(*VIEWER), KEEP, name="of nobody's business", query=FAILED)
    ann = SavedFilter.objects.get().user

    page = admin_client.get(reverse("admin:auth_user_delete", args=(ann.pk,))).content.decode()

    assert "Saved filter" in page
    assert "business" not in page


def test_same_name_is_replaced() -> None:
    ann = person(*VIEWER)
    said(ann, KEEP, name="mine", query=FAILED)
    said(ann, KEEP, name="mine", query="state__exact=lost")

    assert list(SavedFilter.objects.values_list("query", flat=True)) == ["state__exact=lost"]


def test_number_of_filters_is_bounded() -> None:
    ann = person(*VIEWER)
    for number in range(MOST):
        said(ann, KEEP, name=f"n{number}", query=FAILED)

    assert f"you have {MOST} filters already" in said(ann, KEEP, name="one more", query=FAILED)
    assert "kept as n3" in said(ann, KEEP, name="n3", query="state__exact=lost")
    assert SavedFilter.objects.count() == MOST


@pytest.mark.parametrize(
    ("name", "query", "says"),
    [
        ("", FAILED, "a name of at most 60"),
        ("x" * 61, FAILED, "a name of at most 60"),
        ("a\x00b", FAILED, "a name of at most 60"),
        ("name", "", "filter the list first"),
        ("name", "p=2&q=", "filter the list first"),
        ("name", "_popup=1&_to_field=password", "filter the list first"),
        ("name", "q=" + "x" * 1000, "too long"),
    ],
)
def test_what_is_no_filter_is_refused(name: str, query: str, says: str) -> None:
    assert says in said(person(*VIEWER), KEEP, name=name, query=query)
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize("number", ["", "x", "99999", "9" * 30, "\u0663"])
def test_filter_that_is_not_there_is_not_deleted(number: str) -> None:
    assert "no such filter" in said(person(*VIEWER), FORGET, filter=number)


def test_names_and_filters_are_shown_as_text() -> None:
    ann = person(*VIEWER)
    said(ann, KEEP, name='"><script>alert(1)</script>', query='q="><script>alert(2)</script>')

    assert "<script>alert(" not in listed(ann)


@pytest.mark.parametrize("address", [KEEP, FORGET])
def test_filters_need_the_right_to_see_runs_and_a_post(address: str) -> None:
    assert person("view_stream").post(address, {"name": "x", "query": FAILED}).status_code == 403
    assert person(*VIEWER, name="bob").get(address).status_code == 405
    assert Client().post(address).status_code == 302
