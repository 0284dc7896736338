"""Signing in and out in the audit log: who, from where, and what failed. Nothing of what was typed is kept.

Whoever is not signed in yet can try as often as he likes, so what he does leaves so many entries in an hour and no
more: for each user, and for all names that nobody has together.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.utils import timezone

from migrations_app import audit, senders
from migrations_app.audit import Actor
from migrations_app.enums import Door
from migrations_app.models import AppDevice, AuditEntry

#: Entries of one kind about one user within the span.
MOST = 10
_SPAN = timedelta(hours=1)
_NOBODY = "(not signed in)"
_LAST = {"from here on": "further ones within the hour are not entered"}
#: People put their password into the wrong field now and then.
_UNKNOWN = {"name": "one that nobody has; what was typed is not kept"}
FAILED, LOCKED, WRONG_CODE = "sign_in_failed", "lock_out", "second_step_failed"


def note_signed_in(request: Any) -> None:
    """A password was right. Who has a second factor is not in yet."""
    details = {"code": "still owed"} if AppDevice.objects.filter(user=request.user.pk, confirmed=True).exists() else {}
    audit.record(audit.actor_of(request), "sign_in", request.user, details=details)


def note_second_step(request: Any, device: Any) -> None:
    """A code was right, and now its user is in."""
    by = "app" if isinstance(device, AppDevice) else "recovery code"
    audit.record(audit.actor_of(request), "second_step", device.user, details={"by": by})


def note_wrong_code(request: Any, user: Any) -> None:
    """A code was wrong, used already, or came too soon. Its user has shown the password."""
    _record(request, user.get_username(), WRONG_CODE, user)


def note_barred(request: Any, user: Any) -> None:
    """Name and password go together, of somebody who may not use these pages."""
    _record(request, _NOBODY, FAILED, user, why="the password is right, and the user may not sign in to the pages")


def _note_failed(request: Any = None, credentials: Any = None, **_: Any) -> None:
    if request is None:
        return
    known = User.objects.filter(username=(credentials or {}).get("username")).first()
    about = {} if known else _UNKNOWN
    # axes was asked before, and has counted it, unless the name was locked already.
    if not getattr(request, "axes_locked_out", False):
        _record(request, _NOBODY, FAILED, known or User(), **about)
    elif failures := request.axes_failures_since_start:
        _record(request, _NOBODY, LOCKED, known or User(), **about, failures=failures)


def _note_signed_out(request: Any, user: Any, **_: Any) -> None:
    if user is not None:
        audit.record(audit.actor_of(request), "sign_out", user)


def _record(request: Any, who: str, action: str, user: User, **details: Any) -> None:
    same = AuditEntry.objects.filter(action=action, target_type="user", target_id=str(user.pk or ""))
    before = same.filter(at__gt=timezone.now() - _SPAN).count()
    if before >= MOST:
        return
    actor = Actor(who, Door.ADMIN, senders.sender_of(request), senders.request_id_of(request))
    audit.record(actor, action, user, details=details | (_LAST if before == MOST - 1 else {}))


user_login_failed.connect(_note_failed, dispatch_uid="dms_sign_in_failed")
user_logged_out.connect(_note_signed_out, dispatch_uid="dms_signed_out")
