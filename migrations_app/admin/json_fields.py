"""Form fields for JSON that say where it is wrong."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError


class JsonFormField(forms.JSONField):
    """A field of JSON that names the line and column of a mistake; nothing is shown as nothing, and not as `null`."""

    #: What nothing stands for.
    when_empty: type[dict[str, Any]] | None = None

    def to_python(self, value: Any) -> Any:
        """Read the text.

        Raises:
            ValidationError: It is no JSON; with its place, and what is usual there.
        """
        try:
            found = super().to_python(value)
        except ValidationError:
            raise ValidationError(_sentence(str(value))) from None
        return self.when_empty() if found is None and self.when_empty else found

    def prepare_value(self, value: Any) -> Any:
        """The text that shows the value."""
        return "" if value is None or value == {} else super().prepare_value(value)


def _sentence(text: str) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        quotes = "; names and texts stand in double quotes" if "'" in text else ""
        return f"This is no JSON: line {error.lineno}, column {error.colno}: {error.msg.lower()}{quotes}."
    except (ValueError, RecursionError):
        pass
    return "This is no JSON."
