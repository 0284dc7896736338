"""The reference pages name every command, every option and every variable that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from connectors.mapping import S3Destination
from connectors.mapping.settings import ServiceSettings
from migrations_app.management.outcomes import ExitCode as RunExitCode
from migrations_app.management.selecting import ExitCode

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
OURS = sorted(name for name, app in get_commands().items() if app == "migrations_app")


@pytest.mark.parametrize("name", OURS)
def test_every_command_has_an_example(name: str) -> None:
    assert re.search(rf"^    \./run manage {name}\b", COMMANDS, re.MULTILINE)


def test_every_example_is_a_command_with_these_options() -> None:
    examples = re.findall(r"^    \./run manage (\w+)([^#\n]*)", COMMANDS, re.MULTILINE)
    assert len(examples) > 10
    for name, rest in examples:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known, name


def test_every_exit_code_is_explained() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d) \|", COMMANDS, re.MULTILINE)}
    assert told == {code.value for code in (*ExitCode, *RunExitCode)}


def test_every_variable_that_the_settings_read_is_explained() -> None:
    source = (ROOT / "controlplane" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    assert len(read) > 20
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", SETTINGS, re.MULTILINE)) == read


def test_every_key_of_the_settings_document_is_explained() -> None:
    assert keys_of_section("The settings document") == set(ServiceSettings.model_fields)


def test_every_key_of_a_destination_in_a_bucket_is_explained() -> None:
    assert keys_of_section("A destination in a bucket") == set(S3Destination.model_fields) - {"destination_type"}


def keys_of_section(title: str) -> set[str]:
    text = SETTINGS.split(f"## {title}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[a-z0-9_`, ]+`) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"[a-z0-9_]+", cell)}
