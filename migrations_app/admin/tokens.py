"""Tokens of the API in the admin: made, looked at and taken away. The key is shown once, after it was made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from migrations_app import enums, tokens
from migrations_app.admin.base import BaseAdmin
from migrations_app.models import ApiToken

_DAYS = 90


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a new token may do, for how long, and from where."""

    scopes = forms.MultipleChoiceField(choices=enums.scopes, widget=forms.CheckboxSelectMultiple)
    networks = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Networks that it may be used from, as 10.1.0.0/16 with commas; empty for any.",
    )
    expires_at = forms.SplitDateTimeField(
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        initial=lambda: timezone.now() + timedelta(days=_DAYS),
        help_text="Empty for never.",
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "networks", "expires_at")

    def clean_networks(self) -> list[str]:
        """Read the list."""
        texts = [text.strip() for text in self.cleaned_data["networks"].split(",") if text.strip()]
        try:
            return tokens.read_networks(texts)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(ApiToken)
class ApiTokenAdmin(BaseAdmin):
    """Keys for programs. One that is there is not changed: a new one takes its place."""

    form = TokenForm
    list_display = ("name", "prefix", "scope_list", "created_by", "expires_at", "last_used_at")
    search_fields = ("name", "prefix")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """All there is to see of one that is there, and what is to be said of a new one."""
        chosen = ("name", "scopes", "networks", "expires_at")
        return chosen if obj is None else (*chosen, "prefix", "created_by", "created_at", "last_used_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody changes one."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002 - Django's signature
        """Make the token, and show its key."""
        chosen = form.cleaned_data
        row, key = tokens.create(
            chosen["name"],
            [enums.Scope(word) for word in chosen["scopes"]],
            networks=chosen["networks"],
            expires_at=chosen["expires_at"],
            created_by=request.user.get_username(),
        )
        obj.pk = row.pk
        messages.warning(request, f"The key of {row.name}, which is shown this once only: {key}")

    @admin.display(description="scopes")
    def scope_list(self, token: ApiToken) -> str:
        """What it may do."""
        return ", ".join(token.scopes)
