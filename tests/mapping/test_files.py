"""Mapping files are looked at and never run; what cannot be read is refused with its line."""

import datetime as dt
from pathlib import Path

import pytest

from connectors.mapping import MappingError, parse_mapping, parse_settings
from connectors.mapping.files import MAX_BYTES, load_file, load_text

MARKER = "ran.txt"


def refusal(text: str, name: str = "job.py", variable: str = "mapping") -> str:
    """The message with which a file is refused."""
    with pytest.raises(MappingError) as caught:
        load_text(text, name, variable)
    return str(caught.value)


def test_literals_of_every_kind_are_read() -> None:
    text = (
        '"""A job."""\nimport os\nBASE: str = "or" "ders"\n'
        "mapping = {'a': 1, 'b': -2.5, 'c': None, 'd': [True, (1, 'x')], 'e': {'f'}, 'g': BASE, 'h': 'x' + BASE,"
        " **{'i': 2}, # a comment\n}\n"
    )
    assert load_text(text, "job.py").data == {
        "a": 1,
        "b": -2.5,
        "c": None,
        "d": [True, [1, "x"]],
        "e": ["f"],
        "g": "orders",
        "h": "xorders",
        "i": 2,
    }


@pytest.mark.parametrize(
    ("expression", "reference"),
    [
        ("os.getenv('DB_USER')", "env:DB_USER"),
        ("os.getenv('DB_USER', None)", "env:DB_USER"),
        ("os.getenv('DB_USER', 'root')", "env:DB_USER:-root"),
        ("os.getenv('DB_USER', '')", "env:DB_USER:-"),
        ("os.getenv('DB_USER', default='root')", "env:DB_USER:-root"),
        ("os.environ['DB_USER']", "env:DB_USER"),
        ("os.environ.get('DB_USER')", "env:DB_USER"),
        ("getenv('DB_USER')", "env:DB_USER"),
        ("surroundings['DB_USER']", "env:DB_USER"),
        ("system.environ.get(PREFIX + 'USER')", "env:DB_USER"),
    ],
)
def test_reading_the_environment_becomes_a_reference(expression: str, reference: str) -> None:
    text = (
        "import os\nimport os as system\nfrom os import getenv, environ as surroundings\n"
        f"PREFIX = 'DB_'\nmapping = {{'user': {expression}}}"
    )
    assert load_text(text, "job.py").data == {"user": reference}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("datetime.time(22, 30)", dt.time(22, 30)),
        ("datetime.time(hour=22)", dt.time(22)),
        ("dt.timedelta(hours=2)", dt.timedelta(hours=2)),
        ("time(22, 30)", dt.time(22, 30)),
    ],
)
def test_times_and_spans_are_read(expression: str, value: object) -> None:
    text = f"import datetime, datetime as dt\nfrom datetime import time\nsettings = {{'x': {expression}}}"
    assert load_text(text, "settings.py", "settings").data == {"x": value}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import subprocess", "imports subprocess"),
        ("from pathlib import Path", "imports pathlib"),
        ("for x in []: pass", "is a statement that would have to be run"),
        ("if True: pass", "is a statement that would have to be run"),
        ("class Job: pass", "is a statement that would have to be run"),
        ("other['a'] = 1", "write the whole dictionary in one assignment"),
        ("a, b = 1, 2", "write the whole dictionary in one assignment"),
        ("a = b = 1", "write the whole dictionary in one assignment"),
        ("print('x')", "is a statement that would have to be run"),
        ("x = open('f')", "calls a function, which is not run"),
        ("x = __import__('os').system('true')", "calls a function, which is not run"),
        ("x = os.system('true')", "calls a function, which is not run"),
        ("x = [i for i in []]", "holds an expression that would have to be run"),
        ("x = {k: 1 for k in []}", "holds an expression that would have to be run"),
        ("x = lambda: 1", "holds an expression that would have to be run"),
        ("x = f'{1}'", "holds an expression that would have to be run"),
        ("x = 1 if True else 2", "holds an expression that would have to be run"),
        ("x = b'raw'", "holds an expression that would have to be run"),
        ("x = ...", "holds an expression that would have to be run"),
        ("x = [*[1]]", "holds an expression that would have to be run"),
        ("x = os.environ", "holds an expression that would have to be run"),
        ("x = 60 * 60", "computes a value"),
        ("x = 1 + 1", "computes a value"),
        ("x = not True", "computes a value"),
        ("x = os.getenv('HOST') + ':5432'", "computes a value"),
        ("x = unknown", "uses a name that no literal above it defines"),
        ("x = {1: 2}", "has a dictionary key that is not text"),
        ("x = {'a': 1, 'a': 2}", "gives the key 'a' twice"),
        ("x = {**'a'}", "spreads something else than a dictionary"),
        ("x = os.getenv('PORT', 5432)", "a default that is not text"),
        ("x = os.getenv()", "in another form than os.getenv"),
        ("x = os.getenv(*['A'])", "holds an expression that would have to be run"),
        ("x = os.getenv('A B')", "letters, digits and _"),
        ("x = os.environ[0]", "letters, digits and _"),
        ("x = datetime.time(25)", "arguments that it does not take"),
        ("x = datetime.datetime.now()", "calls a function, which is not run"),
        ("mapping = {'b': 2}", "assigns mapping a second time"),
    ],
)
def test_what_would_have_to_be_run_is_refused_with_its_line(line: str, message: str) -> None:
    text = refusal(f"import os\nimport datetime\nmapping = {{'a': 1}}\n{line}\n")
    assert text.startswith("job.py, line 4: ")
    assert message in text


def test_every_line_that_cannot_be_read_is_told() -> None:
    text = refusal("import sys\nmapping = {'a': open('x')}\nfor i in []: pass\n")
    assert [line.split(":")[0] for line in text.splitlines()] == [
        "job.py, line 1",
        "job.py, line 2",
        "job.py, line 3",
    ]


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = f"open({MARKER!r}, 'w')"
    text = (
        f"def get_table_name(record, x={code}):\n    return {code}\n"
        f"process_dict = lambda record: {code}\nmapping = {{'a': 1}}\n"
    )
    loaded = load_text(text, "job.py")
    refusal(f"mapping = {{'a': {code}}}")
    assert loaded.data == {"a": 1}
    assert not list(tmp_path.iterdir())


def test_functions_of_a_kafka_job_are_left_out_with_the_remedy() -> None:
    text = "import json\nmapping = {'a': 1}\ndef get_table_name(record):\n    return json.dumps(record)\n"
    warnings = load_text(text, "job.py").warnings
    assert len(warnings) == 2
    assert "job.py, line 1: the import of json is left out" in warnings[0]
    assert "name it by 'get_table_name': 'package.module.get_table_name'" in warnings[1]


def test_dotenv_is_left_out_with_the_remedy() -> None:
    text = "from dotenv import load_dotenv\nload_dotenv()\nmapping = {'a': 1}"
    assert "set the variables in the service's own environment" in load_text(text, "job.py").warnings[0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("job.py", "mapping = {", "line 1: is no valid Python"),
        ("job.py", "x = 1", "assigns no variable named mapping"),
        ("job.py", "mapping = [1]", "holds no dictionary"),
        ("job.py", "\0", "is no"),
        ("job.py", "mapping = " + "[" * 9000, "is no"),
        ("job.json", '{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("job.json", '{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice"),
        ("job.json", '{"a": NaN}', "is no valid JSON"),
        ("job.json", "{\n\n", "line 3: is no valid JSON"),
        ("job.json", "[" * 100000, "is no valid JSON"),
        ("job.json", "[]", "holds no dictionary"),
        ("job.json", '{"settings": {}}', "import it as settings"),
        ("job.yaml", "a: 1\na: 2", "the key 'a' stands twice"),
        ("job.yaml", "a: [1", "line 1: is no valid YAML"),
        ("job.yaml", "a: *hunter2", "is no valid YAML"),
        ("job.yml", "a: !!python/object/apply:os.system ['true']", "is no valid YAML"),
        ("job.yaml", "a: \x00", "is no valid YAML"),
        ("job.yaml", "- a", "holds no dictionary"),
        ("job.toml", "a = 1", "another ending than .py, .json, .yaml or .yml"),
    ],
)
def test_a_broken_file_is_refused_with_a_sentence(name: str, text: str, message: str) -> None:
    told = refusal(text, name)
    assert told.startswith(name)
    assert message in told
    assert "hunter2" not in told


def test_a_json_or_yaml_document_may_stand_under_its_name() -> None:
    assert load_text('{"mapping": {"source": 1}}', "job.json").data == {"source": 1}
    assert load_text("settings:\n  notify: no\n", "s.yaml", "settings").data == {"notify": False}


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert load_file(path).data == {"a": 1}


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    latin, large = tmp_path / "latin.json", tmp_path / "large.json"
    latin.write_bytes(b'{"a": "\xe9"}')
    large.write_bytes(b" " * (MAX_BYTES + 1))
    expected = {latin: "is not UTF-8", large: "is larger than 4 MB", tmp_path / "missing.json": "cannot be read"}
    for path, message in expected.items():
        with pytest.raises(MappingError, match=message):
            load_file(path)


def test_a_span_may_stand_for_a_lag_and_a_time_for_the_cut_off() -> None:
    text = (
        "mapping = {'source': {'source_type': 'mongo', 'url': 'mongodb://h', 'db_name': 'd'}, 'destination': {},"
        " 'collections': [{'collection_name': 'c', 'cron': 'self-managed', 'mode': 'dumping',"
        " 'grace_updation_lag': datetime.timedelta(days=1, hours=2, minutes=3)}]}"
    )
    [spec] = parse_mapping(load_text(text, "job.py").data).collections or ()
    assert spec.grace_updation_lag
    assert spec.grace_updation_lag.timedelta == dt.timedelta(days=1, hours=2, minutes=3)
    store = "{'url': os.getenv('STORE'), 'db_name': 'd', 'collection_name': 'c'}"
    text = (
        f"settings = {{'encryption_store': {store}, 'dashboard_store': {store},"
        " 'slack_notif': {}, 'cut_off_time': datetime.time(22)}"
    )
    assert parse_settings(load_text(text, "s.py", "settings").data).cut_off_time == dt.time(22)


def test_yaml_of_a_few_lines_cannot_stand_for_millions_of_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(MappingError, match="aliases"):
        load_text("\n".join(lines), "mapping.yaml")


@pytest.mark.parametrize("form", ["[{}]", "{}"])
def test_python_of_a_few_lines_cannot_stand_for_millions_of_values(form: str) -> None:
    joined = ", " if form == "[{}]" else " + "
    lines = ["a0 = 'xxxxxxxxxxxx'", *(f"a{n} = {form.format(joined.join([f'a{n - 1}'] * 9))}" for n in range(1, 9))]
    with pytest.raises(MappingError, match="uses names that stand for names"):
        load_text("\n".join([*lines, "mapping = {'tables': a8}"]), "mapping.py")


def test_yaml_that_holds_itself_is_refused() -> None:
    with pytest.raises(MappingError, match="aliases"):
        load_text("tables: &all [*all]", "mapping.yaml")


def test_yaml_may_share_a_part() -> None:
    text = "common: &common {mode: syncing}\ntables: [*common, {<<: *common, table_name: a}]"
    assert load_text(text, "mapping.yaml").data["tables"][1] == {"mode": "syncing", "table_name": "a"}
