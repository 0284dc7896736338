"""Form fields for secrets: what is stored is never shown, nothing entered means that it stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget

from migrations_app import secrets


class SecretFormField(forms.CharField):
    """A secret to be entered. It is empty on every page, whatever is stored."""

    def __init__(self, *, label: str, help_text: str = "") -> None:
        super().__init__(
            required=False,
            # A password may begin with a space.
            strip=False,
            label=label,
            help_text=help_text,
            widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        )

    def tell(self, stored: str | None) -> None:
        """Say in the help text whether something is stored; a reference is shown, since it is no secret."""
        if not stored:
            state = "Not set."
        elif secrets.is_reference(stored):
            state = f"Set to {stored}; leave it empty to keep that."
        else:
            state = "Set; leave it empty to keep it."
        self.help_text = f"{self.help_text} {state} The value itself or env:NAME.".strip()


class ForgetField(forms.MultipleChoiceField):
    """Which stored secrets to forget."""

    def __init__(self) -> None:
        super().__init__(required=False, label="Forget", widget=UnfoldAdminCheckboxSelectMultipleWidget)

    def offer(self, stored: Mapping[str, Any]) -> None:
        """Offer the secrets that are stored."""
        self.choices = [(path, path) for path, value in stored.items() if value]
