"""Tokens of the API in the admin: made, looked at and taken away. The key is shown once, after it was made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from migrations_app import enums, tokens
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.pages import page
from migrations_app.api.callers import scopes_of
from migrations_app.models import ApiToken

_DAYS = 90
_KEY = "dms_new_key"


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a new token may do, for how long, and from where."""

    #: What the person may do himself.
    offered: frozenset[enums.Scope] = frozenset()

    scopes = forms.MultipleChoiceField(
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What it may do. Nothing follows from anything else: writing does not include reading.",
    )
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes = self.fields.get("scopes")
        if isinstance(scopes, forms.MultipleChoiceField):
            scopes.choices = [choice for choice in enums.scopes() if choice[0] in self.offered]

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

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Nobody makes a key that opens more than he may open himself."""
        form = super().get_form(request, obj, change, **kwargs)
        return type("TokenForm", (form,), {"offered": scopes_of(request.user)})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """All there is to see of one that is there, and what is to be said of a new one."""
        chosen = ("name", "scopes", "networks", "expires_at")
        return chosen if obj is None else (*chosen, "prefix", "created_by", "created_at", "last_used_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody changes one."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002 - Django's signature
        """Make the token, and keep its key for the page that shows it."""
        chosen = form.cleaned_data
        row, key = tokens.create(
            chosen["name"],
            [enums.Scope(word) for word in chosen["scopes"]],
            networks=chosen["networks"],
            expires_at=chosen["expires_at"],
            created_by=request.user.get_username(),
        )
        obj.pk = row.pk
        request.__dict__[_KEY] = key

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> Any:  # noqa: ARG002 - Django's signature
        """Show the key, in this answer and never again: no session and no message keeps it."""
        tokens_list = reverse("admin:migrations_app_apitoken_changelist")
        crumbs = (("API tokens", tokens_list),)
        made = ApiToken.objects.get(pk=obj.pk)
        shown: HttpResponseBase = page(
            request,
            "pages/new_token.html",
            f"Key of {made.name}",
            crumbs=crumbs,
            token=made,
            key=request.__dict__[_KEY],
            back=tokens_list,
        )
        shown["Cache-Control"] = "no-store"
        return shown

    @admin.display(description="scopes")
    def scope_list(self, token: ApiToken) -> str:
        """What it may do."""
        return ", ".join(token.scopes)
