"""The second step of signing in: who has it, who must have it, and what a session may do before it was taken.

A session that has shown a password and owes a code is a stranger to every page and to the API: nothing else has to
know that there is a second step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import django_otp
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from migrations_app import secrets
from migrations_app.enums import TwoFactor
from migrations_app.models import AppDevice, RecoveryCode, RecoveryDevice
from migrations_app.models.second_factors import DIGITS, bare, digests_of, new_app_secrets, new_recovery_code

logger = logging.getLogger(__name__)

#: In a session: a password was shown, and a code is still owed.
_OWES_CODE = "dms_owes_code"
_RECOVERY_CODES = 10
_API = "/api/"
#: Where those may go who have to set their second factor up first.
_OPEN = ("two_factor", "admin:login", "admin:logout", "admin:password_change", "admin:password_change_done")


class KeyGoneError(Exception):
    """Codes of the user's app cannot be checked: its key was sealed with one that DMS_SECRET_KEYS does not hold."""


class SecondStep:
    """Middleware behind `OTPMiddleware`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if SESSION_KEY not in request.session:
            return self._get_response(request)
        user: Any = request.user
        if not user.is_authenticated or user.is_verified():
            return self._get_response(request)
        if request.session.get(_OWES_CODE):
            _make_stranger(request)
        elif has_device(user):
            # It was set up in another session, or there was none yet when this one began.
            owe_code(request)
        elif is_required_of(user) and request.path not in [reverse(name) for name in _OPEN]:
            if request.path.startswith(_API):
                _make_stranger(request)
            else:
                return redirect("two_factor")
        return self._get_response(request)


def is_required_of(user: Any) -> bool:
    """Whether this installation lets the user in with a second factor only."""
    match TwoFactor(settings.DMS_REQUIRE_TWO_FACTOR):
        case TwoFactor.NONE:
            return False
        case TwoFactor.ADMINS:
            return bool(user.has_perm("auth.change_user"))
        case TwoFactor.ALL:
            return True


def has_device(user: Any) -> bool:
    """Whether the user has a second factor."""
    return bool(AppDevice.objects.filter(user=user.pk, confirmed=True).exists())


def owe_code(request: HttpRequest) -> None:
    """From now on the session is a stranger's, until it shows a code."""
    request.session[_OWES_CODE] = True
    _make_stranger(request)


def waiting(request: HttpRequest) -> Any:
    """The user who has shown a password and owes a code; None for nobody."""
    return getattr(request, "dms_waiting_user", None)


def take(request: HttpRequest, user: Any, device: Any) -> None:
    """Let the session of the user in, who has shown a code of the device."""
    request.user = user
    admit(request, device)


def admit(request: HttpRequest, device: Any) -> None:
    """The session has shown a code of the device, which belongs to its user."""
    request.session.pop(_OWES_CODE, None)
    # Whoever has seen the session's key before has not seen the code.
    request.session.cycle_key()
    django_otp.login(request, device)


def verified_device(user: Any, code: str) -> Any:
    """The device whose code it is; None for none. A code counts once; what people type between the digits does not.

    Raises:
        KeyGoneError: As it says.
    """
    text = bare(code)
    kind = AppDevice if len(text) <= DIGITS else RecoveryDevice
    for device in kind.objects.filter(user=user.pk, confirmed=True):
        try:
            if django_otp.verify_token(user, device.persistent_id, text) is not None:
                return device
        except (secrets.SecretUnreadableError, secrets.SecretKeysError) as error:
            logger.error("a second factor cannot be checked: %s", error, extra={"action": "second_step"})  # noqa: TRY400
            raise KeyGoneError from error
    return None


def wait_s(user: Any) -> int:
    """For how many seconds no code is looked at, since wrong ones came before; 0 for not at all."""
    waits = []
    for device in _devices_of(user):
        is_allowed, why = device.verify_is_allowed()
        if not is_allowed and why and why.get("locked_until"):
            waits.append((why["locked_until"] - timezone.now()).total_seconds())
    return max((int(each) + 1 for each in waits), default=0)


def begin(user: Any) -> AppDevice:
    """A new key for the user's app, or the one that was begun; it counts once a code was shown."""
    with transaction.atomic():
        # Two requests at once, as of a button that is clicked twice, would both begin one.
        get_user_model().objects.select_for_update().get(pk=user.pk)
        device: AppDevice | None = AppDevice.objects.filter(user=user, confirmed=False).order_by("pk").first()
        if device is None:
            device = AppDevice(user=user, name="app", confirmed=False, secrets=new_app_secrets())
            device.save()
        elif not _is_readable(device):
            device.secrets = new_app_secrets()
            device.save(update_fields=["secrets"])
        return device


def finish(user: Any, code: str) -> list[str] | None:
    """Make what was begun count, if the code is right; the recovery codes, which are shown this once."""
    with transaction.atomic():
        device = AppDevice.objects.select_for_update().filter(user=user.pk, confirmed=False).order_by("pk").first()
        if device is None or not device.verify_token(bare(code)):
            return None
        AppDevice.objects.filter(user=user.pk).exclude(pk=device.pk).delete()
        device.confirmed = True
        device.save()
        return new_recovery_codes(user)


def new_recovery_codes(user: Any) -> list[str]:
    """Codes for when the app is lost, each good once. Those from before count no more."""
    codes = [new_recovery_code() for _ in range(_RECOVERY_CODES)]
    digests = digests_of(map(bare, codes))
    with transaction.atomic():
        # The device stays: a session may have been let in by a code of it.
        found = RecoveryDevice.objects.filter(user=user.pk).order_by("pk").first()
        device = found or RecoveryDevice(user=user, name="recovery")
        device.throttle_reset(commit=False)
        device.save()
        device.codes.all().delete()
        RecoveryCode.objects.bulk_create(RecoveryCode(device=device, digest=digest) for digest in digests)
    return codes


def codes_left(user: Any) -> int:
    """How many recovery codes have not been used."""
    return int(RecoveryCode.objects.filter(device__user=user.pk).count())


def remove(user: Any) -> bool:
    """Take the second factor away; whether there was one."""
    with transaction.atomic():
        RecoveryDevice.objects.filter(user=user.pk).delete()
        gone, _ = AppDevice.objects.filter(user=user.pk).delete()
    return bool(gone)


def note_sign_in(request: HttpRequest, user: Any, **_: Any) -> None:
    """A password was shown: who has a second factor owes a code from here on. The session's time begins."""
    # A moment, where Django counts anew whenever something is put into the session.
    request.session.set_expiry(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))
    if has_device(user):
        request.session[_OWES_CODE] = True


user_logged_in.connect(note_sign_in, dispatch_uid="dms_second_step")


def _make_stranger(request: HttpRequest) -> None:
    request.dms_waiting_user = request.user  # type: ignore[attr-defined]
    request.user = AnonymousUser()


def _devices_of(user: Any) -> Iterator[Any]:
    for kind in (AppDevice, RecoveryDevice):
        yield from kind.objects.filter(user=user.pk, confirmed=True)


def _is_readable(device: AppDevice) -> bool:
    try:
        return bool(device.bin_key)
    except secrets.SecretUnreadableError:
        return False
