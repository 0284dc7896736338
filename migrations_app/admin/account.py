"""One's own account: its second factor, set up, renewed and removed; and its password."""

from __future__ import annotations

from typing import Any

import segno
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from migrations_app import audit, second_step, snapshots
from migrations_app.admin.pages import page
from migrations_app.admin.signing_in import CodeForm

_GROUP = 4
#: As the site has it.
_password_page = admin.site.password_change


@never_cache
@csrf_protect
def two_factor(request: HttpRequest) -> HttpResponseBase:
    """Everything about it on one page; what is posted says what to do."""
    if not admin.site.has_permission(request):
        return redirect("admin:index")
    user: Any = request.user
    return _kept(request) if second_step.has_device(user) else _setting_up(request)


def change_password(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
    """The site's page, whose change and the audit log's entry of it are one."""
    if request.method != "POST":
        return _password_page(request, extra_context)
    user: Any = User.objects.get_by_natural_key(request.user.get_username())
    before = snapshots.of(user)
    with transaction.atomic():
        answer = _password_page(request, extra_context)
        if answer.status_code == 302:
            snapshots.note_saved(audit.actor_of(request), before, user)
    return answer


admin.site.password_change = change_password  # type: ignore[method-assign]


def _setting_up(request: HttpRequest) -> HttpResponseBase:
    user: Any = request.user
    if request.method != "POST":
        return _page(request, is_required=second_step.is_required_of(user))
    device = second_step.begin(user)
    form = CodeForm(request.POST if "code" in request.POST else None)
    form.fields["code"].help_text = "The six digits that the app shows now."
    if form.is_valid():
        with transaction.atomic():
            codes = second_step.finish(user, form.cleaned_data["code"])
            if codes is not None:
                audit.record(audit.actor_of(request), "second_factor_on", user)
        if codes is not None:
            device.refresh_from_db()
            second_step.admit(request, device)
            return _page(request, codes=codes, has_device=True)
        form.refuse(user)
    return _page(request, form=form, picture=_picture(device.address), secret=_in_groups(device.shown_key))


def _kept(request: HttpRequest) -> HttpResponseBase:
    user: Any = request.user
    form = CodeForm(request.POST or None)
    codes: list[str] | None = None
    if form.device_of(request, user) is not None:
        if "remove" in request.POST:
            with transaction.atomic():
                second_step.remove(user)
                audit.record(audit.actor_of(request), "second_factor_off", user)
            messages.success(request, "Your second factor is removed: the password alone lets you in.")
            return redirect("two_factor")
        with transaction.atomic():
            codes = second_step.new_recovery_codes(user)
            audit.record(audit.actor_of(request), "new_recovery_codes", user)
    return _page(
        request,
        form=form if codes is None else None,
        codes=codes,
        has_device=True,
        codes_left=second_step.codes_left(user),
    )


def _page(request: HttpRequest, **context: Any) -> TemplateResponse:
    return page(request, "pages/two_factor.html", "Second factor", **context)


def _picture(address: str) -> SafeString:
    """The address as a QR code, in SVG that stands in the page itself."""
    drawn = segno.make(address, error="m").svg_inline(scale=5, border=3, light="#fff", dark="#000", omitsize=False)
    # Of segno's own making: squares, and no text of anybody's.
    return mark_safe(drawn)  # noqa: S308


def _in_groups(text: str) -> str:
    return " ".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))
