"""People for tests: users in roles, and the codes of their apps."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django_otp.oath import totp

from migrations_app.enums import RoleName
from migrations_app.models import AppDevice, Role
from migrations_app.models.second_factors import DIGITS, STEP_S, new_app_secrets

PASSWORD = "a-long-passphrase"


def make_user(name: str = "ann", role: RoleName | None = None, **fields: Any) -> User:
    """Somebody who may sign in to the pages."""
    user = User.objects.create_user(name, password=PASSWORD, **({"is_staff": True} | fields))
    if role is not None:
        group = Role.objects.get(pk=role.value).group
        assert group is not None
        user.groups.add(group)
    return user


def staff(*permissions: str, name: str = "ann") -> Client:
    """Somebody of the staff with these permissions alone, signed in."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def signed_in(role: RoleName | None, name: str = "ann") -> Client:
    client = Client()
    client.force_login(make_user(name, role))
    return client


def with_app(user: User) -> AppDevice:
    """The user's app, set up."""
    device: AppDevice = AppDevice.objects.create(user=user, name="app", secrets=new_app_secrets())
    return device


def code_of(device: AppDevice, steps: int = 0) -> str:
    """What the app shows, or will show some steps later; an earlier one is no longer taken."""
    return f"{totp(device.bin_key, step=STEP_S, digits=DIGITS, drift=steps):06d}"


def send_password(client: Client, name: str = "ann", password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(reverse("admin:login"), {"username": name, "password": password, "next": "/admin/"}, **extra)
