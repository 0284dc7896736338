"""Form fields for secrets: what is stored is never shown, nothing entered means that it stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from migrations_app import secrets

#: What follows the field's name in those of the switch, and of the input for the variable's name.
_WAY, _VARIABLE = "__way", "__env"
_BY_VALUE, _BY_REFERENCE = "value", "env"
#: The secret of which the servers are shown.
ADDRESS = "url"


class SecretInput(forms.Widget):
    """Either the value, which is only ever written, or the name of an environment variable, which is no secret.

    The value's input has the field's own name and takes `env:NAME` too.
    """

    #: The reference that is stored.
    reference = ""
    #: A value is stored.
    is_set = False

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("dms/secrets.css",)}

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:  # noqa: ARG002 - Django's signature
        """The value, or the reference as the contract writes it."""
        value = data.get(name) or ""
        variable = (data.get(name + _VARIABLE) or "").strip().removeprefix(secrets.REFERENCE_PREFIX)
        if variable and data.get(name + _WAY) != _BY_VALUE and (data.get(name + _WAY) or not value):
            return f"{secrets.REFERENCE_PREFIX}{variable}"
        return value if data.get(name + _WAY) != _BY_REFERENCE else ""

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:  # noqa: ARG002 - Django's signature
        """Whether none of the inputs was sent."""
        return name not in data and name + _VARIABLE not in data

    def render(
        self,
        name: str,
        value: Any,
        attrs: dict[str, Any] | None = None,
        renderer: Any = None,  # noqa: ARG002 - Django's
    ) -> SafeString:
        """Both inputs; of the value only whether there is one."""
        entered = value if isinstance(value, str) and secrets.is_reference(value) else ""
        shown = entered or self.reference
        final = self.build_attrs(self.attrs, attrs)
        context = {
            "name": name,
            "key": name.rpartition("__")[2],
            "id": final.pop("id", f"id_{name}"),
            "attrs": final,
            "variable": shown.removeprefix(secrets.REFERENCE_PREFIX),
            "by_reference": bool(shown),
            "is_set": self.is_set,
            # Only a form that was refused renders what was entered.
            "is_dropped": bool(value) and not entered,
        }
        return mark_safe(render_to_string("parts/secret_input.html", context))  # noqa: S308 - Django escaped it


class SecretFormField(forms.CharField):
    """A secret to be entered. It is empty on every page, whatever is stored."""

    widget: SecretInput

    def __init__(self, *, label: str, help_text: str = "") -> None:
        super().__init__(
            required=False,
            # A password may begin with a space.
            strip=False,
            label=label,
            help_text=help_text,
            widget=SecretInput(),
        )

    def tell(self, stored: str | None, servers: str = "") -> None:
        """Say in the help text whether something is stored; a reference is shown, since it is no secret.

        Args:
            stored: The reference, or the sealed value.
            servers: Of an address, what may be shown.
        """
        if not stored:
            state = "Not set. A variable is looked up when a run starts, so that nothing secret is stored here."
        elif secrets.is_reference(stored):
            self.widget.reference = stored
            # Pages put help texts in as HTML, and a reference's default is text of anybody's.
            state = f"Set to {escape(stored)}; kept while the name stays."
        else:
            self.widget.is_set = True
            state = f"Set to {escape(servers)}; what else it holds is" if servers else "Set, and"
            state = f"{state} never shown; kept while this stays empty."
        self.help_text = f"{self.help_text} {state}".strip()


class ForgetField(forms.MultipleChoiceField):
    """Which stored secrets to forget."""

    def __init__(self) -> None:
        super().__init__(required=False, label="Forget", widget=UnfoldAdminCheckboxSelectMultipleWidget)

    def offer(self, stored: Mapping[str, Any]) -> None:
        """Offer the secrets that are stored."""
        self.choices = [(path, path) for path, value in stored.items() if value]
