"""Mapping files, as the client sends them. Python and YAML go as they are: the service reads and never runs them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrations_app.ci.server import Content, ExitCode, Refused

_MEDIA_TYPES = {".py": "text/x-python", ".yaml": "application/yaml", ".yml": "application/yaml"}
_JSON = ".json"
#: The same as `manage.py import_mapping` makes of a file's name.
_NOT_A_SLUG = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class MappingFile:
    """One file.

    Attributes:
        path: Where it is.
        mapping_id: The id of its mapping: the name of the file.
        text: What it holds.
    """

    path: Path
    mapping_id: str
    text: str

    @property
    def content(self) -> Content:
        """For a request of its own."""
        if self.path.suffix.lower() == _JSON:
            return Content.of(self._document())
        return Content(_MEDIA_TYPES[self.path.suffix.lower()], self.text.encode())

    @property
    def entry(self) -> dict[str, Any]:
        """For a bundle."""
        if self.path.suffix.lower() == _JSON:
            return self._document()
        return {"file": self.path.name, "text": self.text}

    def _document(self) -> dict[str, Any]:
        try:
            document = json.loads(self.text)
        except ValueError as error:
            raise Refused([f"{self.path}: is no valid JSON ({error})"], ExitCode.DOCUMENT_WRONG) from None
        if isinstance(document, dict) and document.keys() == {"mapping"}:
            document = document["mapping"]
        if not isinstance(document, dict):
            raise Refused([f"{self.path}: holds no mapping, which is an object"], ExitCode.DOCUMENT_WRONG)
        return document


def read_files(paths: list[Path]) -> list[MappingFile]:
    """Read the files, each under the id that its name gives.

    Raises:
        Refused: One cannot be read, or two give the same id; all of them are named.
    """
    found: dict[str, MappingFile] = {}
    wrong: list[str] = []
    for path in paths:
        mapping_id = id_of(path)
        if path.suffix.lower() not in {*_MEDIA_TYPES, _JSON}:
            wrong.append(f"{path}: has another ending than .py, .json, .yaml or .yml")
        elif mapping_id in found:
            wrong.append(f"{path}: gives the same id, {mapping_id}, as {found[mapping_id].path}; rename one of them")
        else:
            try:
                found[mapping_id] = MappingFile(path, mapping_id, path.read_text(encoding="utf-8-sig"))
            except (OSError, UnicodeDecodeError) as error:
                wrong.append(f"{path}: cannot be read ({type(error).__name__})")
    if wrong:
        raise Refused(wrong, ExitCode.DOCUMENT_WRONG)
    return list(found.values())


def id_of(path: Path) -> str:
    """The id of the mapping that a file holds, or the text itself, where it is an id."""
    return _NOT_A_SLUG.sub("-", path.stem).strip("-")


def origin(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Repository and commit, as GitHub Actions and GitLab tell their jobs."""
    repository = environment.get("CI_PROJECT_URL", "")
    if environment.get("GITHUB_REPOSITORY"):
        server = environment.get("GITHUB_SERVER_URL", "https://github.com")
        repository = f"{server}/{environment['GITHUB_REPOSITORY']}"
    commit = environment.get("GITHUB_SHA") or environment.get("CI_COMMIT_SHA") or ""
    found = {"repository": repository[:300], "commit": commit[:300]}
    return {key: value for key, value in found.items() if value}
