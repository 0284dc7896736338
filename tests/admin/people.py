"""People for tests: users in roles, and the codes of their apps."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from migrations_app.enums import RoleName
from migrations_app.models import Role

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


def with_app(user: User) -> TOTPDevice:
    """The user's app, set up."""
    return TOTPDevice.objects.create(user=user, name="app")


def code_of(device: TOTPDevice, steps: int = 0) -> str:
    """What the app shows, or will show some steps later; an earlier one is no longer taken."""
    return f"{totp(device.bin_key, step=device.step, t0=device.t0, digits=device.digits, drift=steps):06d}"


def send_password(client: Client, name: str = "ann", password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(reverse("admin:login"), {"username": name, "password": password, "next": "/admin/"}, **extra)
