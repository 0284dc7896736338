"""Roles: which group stands for which role, and which permissions it has got from us."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import models


class Role(models.Model):
    """A role of `migrations_app.roles` and its group.

    Attributes:
        name: The role's, which stays when people give the group another name.
        group: None once people have deleted it, so that it does not come back.
        granted: Permissions that the group has got from us, as ``app_label.codename``. Others are people's own.
    """

    name = models.CharField(max_length=50, primary_key=True)
    group = models.OneToOneField(Group, on_delete=models.SET_NULL, null=True, related_name="role")
    granted = models.JSONField(default=list)

    def __str__(self) -> str:
        return self.name
