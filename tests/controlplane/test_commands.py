"""Commands: files in, documents out, every mistake at once."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from connectors.mapping import parse_mapping
from connectors.mapping.files import load_file
from migrations_app import mapping_io, settings_io
from migrations_app.models import Mapping, Stream
from tests.controlplane.builders import raw_mapping, raw_settings, raw_table

pytestmark = pytest.mark.django_db

PYTHON_MAPPING = """
import os

mapping = {
    'source': {
        'source_type': 'pgsql',
        'url': 'source.example',
        'db_name': 'shop',
        'username': os.getenv('DB_USERNAME'),
        'password': os.environ['DB_PASSWORD'],
    },
    'destination': {},
    'tables': [{'table_name': 'orders', 'cron': 'self-managed', 'mode': 'dumping'}],
}
"""


def run(command: str, *arguments: object, **options: Any) -> str:
    out = StringIO()
    call_command(command, *map(str, arguments), stdout=out, **options)
    return out.getvalue()


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document))
    return path


def references_only() -> dict[str, Any]:
    raw = raw_mapping()
    raw["source"]["password"] = "env:SOURCE_PASSWORD"
    return raw


def test_import_takes_its_id_from_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "shop_eu.json", raw_mapping())

    assert run("import_mapping", file) == "shop_eu: created, 1 stream\n"
    assert run("import_mapping", file) == "shop_eu: unchanged\n"
    write(file, raw_mapping(tables=[raw_table(), raw_table(table_name="b")]))
    assert run("import_mapping", file) == "shop_eu: changed, 2 streams\n"
    assert run("import_mapping", file, "--id", "other") == "other: created, 2 streams\n"


def test_import_reads_python_without_running_it(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(PYTHON_MAPPING)

    run("import_mapping", file)

    stored = mapping_io.load_contract(Mapping.objects.get())
    assert stored.source.password.get_secret_value() == "env:DB_PASSWORD"  # type: ignore[union-attr]


def test_check_changes_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "shop.json", raw_mapping())

    assert run("import_mapping", file, "--check") == "shop: created, 1 stream\n"
    assert not Mapping.objects.exists()
    assert not Stream.objects.exists()


def test_mistakes_of_all_files_are_shown_and_nothing_is_imported(tmp_path: Path) -> None:
    good = write(tmp_path / "good.json", raw_mapping())
    bad = write(tmp_path / "bad.json", raw_mapping(tables=[raw_table(bookmark=None, batch_size=0)]))
    worse = tmp_path / "worse.py"
    worse.write_text("mapping = open('x')\n")

    with pytest.raises(CommandError) as caught:
        run("import_mapping", good, bad, worse)

    lines = str(caught.value).splitlines()
    assert caught.value.returncode == 2
    assert len(lines) == 3
    assert lines[0].startswith(f"{bad}: tables[0].")
    assert lines[2].startswith(f"{worse}: ")
    assert not Mapping.objects.exists()


def test_streams_that_clash_across_files_stop_the_whole_import(tmp_path: Path) -> None:
    destination = raw_mapping()["destination"]["warehouse"]
    first = write(tmp_path / "first.json", raw_mapping())
    clash = raw_mapping(destination={"b_c": destination, "c": destination | {"schema": "x"}})
    clash["tables"] = [raw_table(), raw_table(table_name="orders_b")]
    second = write(tmp_path / "second.json", clash)

    with pytest.raises(CommandError, match=r"second\.json: destination\.c: "):
        run("import_mapping", first, second)

    assert not Mapping.objects.exists()


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = write(tmp_path / "shop.json", raw_mapping())
    second = write(tmp_path / "a" / "shop.json", raw_mapping())

    with pytest.raises(CommandError, match="gives the same id, shop"):
        run("import_mapping", first, second)


def test_error_output_shows_no_secret(tmp_path: Path) -> None:
    raw = raw_mapping(tables=[])
    raw["source"]["pasword"] = raw["source"].pop("password")
    file = write(tmp_path / "shop.json", raw)

    with pytest.raises(CommandError) as caught:
        run("import_mapping", file)

    assert "source-secret" not in str(caught.value)
    assert "pasword" in str(caught.value)


@pytest.mark.parametrize(("form", "ending"), [("python", "py"), ("json", "json"), ("yaml", "yaml")])
def test_export_can_be_imported_again(tmp_path: Path, form: str, ending: str) -> None:
    run("import_mapping", write(tmp_path / "shop.json", references_only()))

    exported = tmp_path / f"copy.{ending}"
    exported.write_text(run("export_mapping", "shop", format=form))

    assert parse_mapping(load_file(exported).data) == parse_mapping(references_only())
    assert run("import_mapping", exported, "--id", "shop") == "shop: unchanged\n"


def test_python_export_reads_the_environment(tmp_path: Path) -> None:
    run("import_mapping", write(tmp_path / "shop.json", references_only()))

    assert "os.getenv('SOURCE_PASSWORD')" in run("export_mapping", "shop").replace('"', "'")


def test_export_masks_secrets(tmp_path: Path) -> None:
    run("import_mapping", write(tmp_path / "shop.json", raw_mapping()))

    text = run("export_mapping", "shop", format="yaml")

    assert "source-secret" not in text
    assert yaml.safe_load(text)["source"]["password"] == "********"


def test_export_of_an_unknown_mapping_names_those_there_are(tmp_path: Path) -> None:
    run("import_mapping", write(tmp_path / "shop.json", raw_mapping()))

    with pytest.raises(CommandError, match="there are: shop") as caught:
        run("export_mapping", "shpo")

    assert caught.value.returncode == 2


def test_settings_are_imported(tmp_path: Path) -> None:
    file = write(tmp_path / "settings.json", raw_settings())

    assert run("import_settings", file, "--check") == "settings: created\n"
    assert run("import_settings", file) == "settings: created\n"
    assert run("import_settings", file) == "settings: unchanged\n"
    write(file, raw_settings(timezone="UTC"))
    assert run("import_settings", file) == "settings: changed\n"
    assert settings_io.load_settings().timezone == "UTC"


def test_wrong_settings_are_refused_with_paths(tmp_path: Path) -> None:
    file = write(tmp_path / "settings.json", {"notify": True, "dashboard_store": {}})

    with pytest.raises(CommandError) as caught:
        run("import_settings", file)

    assert caught.value.returncode == 2
    assert len(str(caught.value).splitlines()) >= 3


@pytest.mark.parametrize(("document", "key"), [("mapping", "source"), ("settings", "encryption_store")])
def test_schema_is_json_schema(document: str, key: str) -> None:
    schema = json.loads(run("mapping_schema", document))

    assert key in schema["properties"]
