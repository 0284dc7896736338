"""What others registered: the queue's pages go, users and groups get the admin's look.

The queue's admin can be made to run any function by its name, so that whoever may edit a schedule owns the host.
"""

from __future__ import annotations

from typing import Any

import django_q.admin  # noqa: F401 - it registers what goes here, whoever imports first
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from migrations_app.admin.base import BaseAdmin

_FOREIGN: list[type[Model]] = [*apps.get_app_config("django_q").get_models(), User, Group]

for model in _FOREIGN:
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, BaseAdmin):  # type: ignore[type-arg]
    """Users of this service."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form: Any = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, BaseAdmin):
    """Groups of users, for permissions."""
