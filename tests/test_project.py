"""What the documents and the locks say about the project is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from connectors.mapping import parse_mapping
from connectors.mapping.files import load_file

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON_FILES = sorted(
    path
    for folder in ("connectors", "controlplane", "migrations_app", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    # Django writes its migrations itself.
    if "migrations" not in path.parts
)


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), re.MULTILINE))


def wanted(requirements: list[object]) -> set[str]:
    names = [re.match(r"[\w-]+", each) for each in requirements if isinstance(each, str)]
    return {re.sub(r"[-_.]+", "-", name.group()).lower() for name in names if name}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_holds_versions_and_hashes_and_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|--index|--find-links|--extra", text)
    pins = len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE))
    hashed = len(re.findall(r"^[a-z0-9-]+==[^\n]* \\\n    --hash=sha256:", text, re.MULTILINE))
    assert pins == hashed > 0


def test_the_locks_hold_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    product = wanted(project["project"]["dependencies"])
    groups = project["dependency-groups"]
    assert product <= locked("requirements.lock")
    assert product | wanted(groups["dev"]) | wanted(groups["sandbox"]) <= locked("requirements-dev.lock")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:connectors|migrations_app|controlplane|tests|docs|\.ci)/[\w./-]*)`", text)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [path for path in linked if not (page.parent / path).exists()]
    assert missing == []


def test_the_mapping_of_the_readme_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "shop.py"
    path.write_text(example)
    loaded = load_file(path)
    assert not loaded.warnings
    tables = parse_mapping(loaded.data).tables
    assert tables is not None
    assert [table.table_name for table in tables] == ["orders"]


def test_no_file_is_longer_than_400_lines() -> None:
    assert len(PYTHON_FILES) > 50
    long = [path.relative_to(ROOT) for path in PYTHON_FILES if len(path.read_text().splitlines()) > 400]
    assert long == []
