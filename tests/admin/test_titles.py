"""Titles and names of pages: what a list lists, and names of objects as they are."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils.text import capfirst

import controlplane.urls  # noqa: F401 - registers the pages
from migrations_app.models import Heartbeat, Source
from tests.admin.people import make_user, send_password

pytestmark = pytest.mark.django_db


def title_of(page: str) -> str:
    (title,) = re.findall(r"<title>(.*?)</title>", page, re.DOTALL)
    return " ".join(title.split())


def test_each_list_is_called_by_what_it_lists(admin_client: Client) -> None:
    for model in admin.site._registry:
        meta = model._meta
        address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        answer = admin_client.get(address, follow=True)
        if answer.request["PATH_INFO"] != address:
            continue
        # The list of heartbeats is a page of ours, of workers.
        plural = "workers" if model is Heartbeat else meta.verbose_name_plural
        assert title_of(answer.content.decode()) == f"{capfirst(plural)} | Data migration"


def test_name_of_an_object_is_shown_as_it_is(admin_client: Client) -> None:
    source = Source.objects.create(name="shop_collections", source_type="pgsql", config={"url": "a.example"})
    page = admin_client.get(reverse("admin:migrations_app_source_change", args=(source.pk,))).content.decode()
    crumbs = [crumb.strip() for crumb in re.findall(r'tracking-tight">(.*?)</', page, re.DOTALL)]
    assert crumbs[-2:] == ["Sources", "shop_collections"]
    assert "Shop_collections" not in page


def test_sign_in_page_leads_nowhere_else_and_says_what_is_wrong(client: Client) -> None:
    make_user()
    page = send_password(client, password="wrong").content.decode()
    assert "Name and password do not go together" in page
    assert "staff" not in page
    assert "Return to site" not in page


def test_who_may_not_use_the_pages_is_told_no_more(client: Client) -> None:
    make_user(is_staff=False)
    assert "Name and password do not go together" in send_password(client).content.decode()
