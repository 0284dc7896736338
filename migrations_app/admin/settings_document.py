"""The settings document as text: the three forms it can have, and what somebody pasted or uploaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from connectors import mapping as contract
from connectors.mapping.files import MAX_BYTES, MAX_PASTED_BYTES, load_text

#: By the name of the form: the ending of its files, and what writes it.
DUMPS: dict[str, tuple[str, Callable[[contract.ServiceSettings], str]]] = {
    "python": ("py", contract.dump_python),
    "json": ("json", contract.dump_json),
    "yaml": ("yaml", contract.dump_yaml),
}
_LOOKS_LIKE_PYTHON = re.compile(r"^settings\s*(:.*)?=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """What somebody gave.

    Attributes:
        text: It.
        name: Of the file; empty for what was pasted.
        problem: Why it cannot be read at all.
    """

    text: str = ""
    name: str = ""
    problem: str = ""

    def load(self) -> dict[str, Any]:
        """The document as plain data.

        Raises:
            MappingError: It cannot be read.
        """
        if self.problem:
            raise contract.MappingError([contract.Issue((), self.problem)])
        return load_text(self.text, self.name or f"pasted.{_ending(self.text)}", "settings").data


def read_document(request: HttpRequest) -> Document:
    """The uploaded file, or else what was pasted."""
    file = request.FILES.get("file")
    if file is None:
        text = str(request.POST.get("text", ""))
        if len(text.encode(errors="replace")) > MAX_PASTED_BYTES:
            return Document(problem=f"is larger than {MAX_PASTED_BYTES // 1024 // 1024} MB; choose its file instead")
        return Document(text, problem="" if text.strip() else "nothing was given; paste a document, or choose a file")
    name = str(file.name)
    if (file.size or 0) > MAX_BYTES:
        return Document(name=name, problem=f"{name}: is larger than {MAX_BYTES // 1024 // 1024} MB")
    try:
        return Document(file.read().decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        return Document(name=name, problem=f"{name}: is not UTF-8 text; save it as UTF-8")


def _ending(text: str) -> str:
    """Which of the forms a text without a name has."""
    if text.lstrip().startswith("{"):
        return "json"
    return "py" if _LOOKS_LIKE_PYTHON.search(text) else "yaml"
