"""Signing in to the pages: the password, the code where there is a second factor, and what many mistakes lead to."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

from axes.models import AccessAttempt
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.core.validators import MaxLengthValidator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from unfold.forms import AuthenticationForm as UnfoldAuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from migrations_app import second_step
from migrations_app.admin import sign_ins
from migrations_app.senders import sender_of

_NEXT = "next"
_KEY_GONE = (
    "The codes of your app cannot be checked at the moment: the service lacks the key that seals them. A recovery code "
    "lets you in. Who runs the service adds the key to DMS_SECRET_KEYS again, or removes your second factor."
)


class PasswordForm(UnfoldAuthenticationForm):  # type: ignore[misc]
    """Name and password."""

    #: The same for a wrong password, a name that nobody has, and somebody who may not use these pages.
    error_messages: ClassVar[dict[str, str]] = {
        "invalid_login": "Name and password do not go together, or may not sign in here. Capitals count in both.",
        "inactive": "This account may not sign in any more.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Django tells browsers only. A longer one does not fit into the table of attempts.
        self.fields["username"].validators.append(MaxLengthValidator(150))

    def confirm_login_allowed(self, user: Any) -> None:
        """Refuse who may not use these pages, whose password was right."""
        try:
            super().confirm_login_allowed(user)
        except forms.ValidationError:
            sign_ins.note_barred(self.request, user)
            raise


class CodeForm(forms.Form):
    """A code of the app, or a recovery code."""

    code = forms.CharField(
        max_length=30,
        label="Code",
        help_text="Six digits from your app, or one of your recovery codes.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "autofocus": True}),
    )

    def device_of(self, request: HttpRequest, user: Any) -> Any:
        """The device that shows the code; None for none, and then the form says why."""
        if not self.is_valid():
            return None
        try:
            device = second_step.verified_device(user, self.cleaned_data["code"])
        except second_step.KeyGoneError:
            self.add_error("code", _KEY_GONE)
            return None
        if device is None:
            sign_ins.note_wrong_code(request, user)
            self.refuse(user)
        return device

    def refuse(self, user: Any) -> None:
        """Say why the code was not taken, and how long to wait where that is the reason."""
        wait_s = second_step.wait_s(user)
        later = f" Wait {_in_words(wait_s)} before the next one." if wait_s else ""
        self.add_error("code", f"This code is not right, or was used already.{later}")


@never_cache
@csrf_protect
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """The password first; then the code, of those who have a second factor."""
    user = second_step.waiting(request)
    if user is None:
        page: HttpResponseBase = admin.site.login(request)
        # A form that is wrong comes back as a page.
        if request.method == "POST" and page.status_code == 302:
            sign_ins.note_signed_in(request)
        return page
    if "start_over" in request.POST:
        logout(request)
        return redirect(f"{reverse('admin:login')}?{request.GET.urlencode()}")
    form = CodeForm(request.POST or None)
    device = form.device_of(request, user)
    if device is not None:
        second_step.take(request, user, device)
        sign_ins.note_second_step(request, device)
        return redirect(_wanted(request))
    return _page(request, "admin/second_step.html", "Sign in", form=form)


@never_cache
def still_signed_in(request: HttpRequest) -> HttpResponse:
    """Whether the session lets somebody in, by the status alone: asked before a form is sent, which would be lost."""
    return HttpResponse(status=204 if admin.site.has_permission(request) else 403)


def locked_out(request: HttpRequest, _original: Any, credentials: dict[str, Any] | None) -> HttpResponse:
    """What axes answers for a name and address with too many mistakes, whether there is such a user or not."""
    username = name_of(request, credentials)
    found = AccessAttempt.objects.filter(username=username, ip_address=address_of(request)).order_by("-attempt_time")
    cool_off = settings.AXES_COOLOFF_TIME
    last = found.first()
    left = (last.attempt_time + cool_off - timezone.now()) if last is not None else cool_off
    wait_s = max(60, int(left.total_seconds()))
    page = _page(request, "admin/locked_out.html", "Too many attempts", wait=_in_words(wait_s))
    page.status_code = 429
    page["Retry-After"] = str(wait_s)
    return page.render()


def name_of(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """By what axes counts the mistakes of a name: itself, or a digest where nobody has it, as it may be a password."""
    name: str | None = (credentials or request.POST).get("username")
    if not name or User.objects.filter(username=name).exists():
        return name
    # No user has a name with a colon.
    return f"nobody:{salted_hmac('migrations_app.tried', name, algorithm='sha256').hexdigest()[:32]}"


def address_of(request: HttpRequest) -> str | None:
    """Where a request comes from; None when nobody knows, which is one place for all such requests."""
    try:
        return str(ipaddress.ip_address(sender_of(request)))
    except ValueError:
        return None


def _page(request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), "title": title, **context})


def _wanted(request: HttpRequest) -> str:
    """The page that was asked for before signing in, when it is one of ours."""
    wanted = request.POST.get(_NEXT) or request.GET.get(_NEXT, "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else reverse("admin:index")


def _in_words(seconds: int) -> str:
    if seconds == 1:
        return "1 second"
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


admin.site.login_form = PasswordForm
