"""The client of CI, as a job runs it: a bare Python, files of a repository, and exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg2.extensions import parse_dsn

from controlplane.sandbox import MongoServer
from tests.api.serving import PROJECT, Service, run_service
from tests.databases import PgDatabase

_DOCUMENTED = (PROJECT / "docs" / "ci.md").read_text()

pytestmark = pytest.mark.slow


@dataclass
class Done:
    """A client that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Job:
    """A job of CI with a checkout."""

    service: Service
    checkout: Path

    def ci(self, *arguments: str, **environment: str) -> Done:
        """Run the client. -S leaves out every installed package: it has Python's own library alone."""
        given = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "DMS_URL": self.service.url,
            "DMS_TOKEN": self.service.key,
            "GITHUB_REPOSITORY": "acme/jobs",
            "GITHUB_SHA": "c0ffee",
        }
        command = [sys.executable, "-S", "-m", "migrations_app.ci", *arguments]
        done = subprocess.run(
            command,
            cwd=self.checkout,
            env=given | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def shell(self, script: str, **environment: str) -> Done:
        """Run a line of a job as its runner does."""
        given = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DMS_URL": self.service.url,
            "DMS_TOKEN": self.service.key,
        }
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.checkout,
            env=given | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def write(self, name: str, document: dict[str, Any]) -> None:
        """A mapping file in the language of its ending."""
        text = json.dumps(document)
        if name.endswith(".py"):
            text = f"import os\n\nmapping = {document!r}\n".replace(
                "'env:SOURCE_PASSWORD'", "os.getenv('SOURCE_PASSWORD')"
            )
        (self.checkout / name).write_text(text)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mongo: MongoServer) -> Iterator[Service]:
    """A service without workers, so that it starts processes for runs itself."""
    password = {"SOURCE_PASSWORD": "source-secret"}
    with run_service(tmp_path_factory.mktemp("service"), **password) as running:
        store = {"url": mongo.url, "db_name": "test_ci_client"}
        settings = {
            "timezone": "UTC",
            "encryption_store": store | {"collection_name": "state"},
            "dashboard_store": store | {"collection_name": "runs"},
        }
        assert running.ask("PUT", "/settings", settings)[0] == 201
        yield running


@pytest.fixture
def job(service: Service, tmp_path: Path) -> Job:
    """A job with an empty checkout."""
    return Job(service, tmp_path)


@pytest.fixture
def document(two_databases: tuple[PgDatabase, PgDatabase]) -> dict[str, Any]:
    """A mapping of two databases that are there."""
    source, destination = two_databases
    source.execute("CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz DEFAULT now())")
    source.execute("INSERT INTO orders (id) SELECT generate_series(1, 9)")
    return {
        "source": {"source_type": "pgsql", **_place(source)},
        "destination": {"main": {"destination_type": "pgsql", "schema": "copies", **_place(destination)}},
        "tables": [
            {
                "table_name": "orders",
                "cron": "self-managed",
                "mode": "syncing",
                "primary_key": "id",
                "primary_key_datatype": "int",
                "bookmark": "updated_at",
            }
        ],
    }


def _place(database: PgDatabase) -> dict[str, Any]:
    read = parse_dsn(database.dsn)
    return {
        "url": f"{read['host']}:{read['port']}",
        "db_name": read["dbname"],
        "username": read["user"],
        "password": read.get("password", "x"),
    }


def test_mapping_is_compared_applied_and_run(
    job: Job, document: dict[str, Any], two_databases: tuple[PgDatabase, PgDatabase]
) -> None:
    job.write("shop.py", document)

    planned = job.ci("diff", "--connect", "shop.py")
    assert (planned.code, planned.err) == (0, "")
    assert "shop: would be created, impact none" in planned.out
    assert job.ci("run", "shop.py").code == 1, "the mapping is there after a diff"
    applied = job.ci("apply", "shop.py")
    assert (applied.code, applied.out) == (0, "shop: created, impact none\n")
    ran = job.ci("run", "--wait", "shop.py")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("shop: 1 run queued\nshop_DMS_orders_main: succeeded, read ")
    assert ", inserted 9, updated 0, deleted 0 in " in ran.out
    assert two_databases[1].value("SELECT count(*) FROM copies.orders") == 9

    document["tables"][0]["bookmark"] = False
    job.write("shop.py", document)
    refused = job.ci("apply", "shop.py")
    assert refused.code == 1
    assert "/tables/0/bookmark: full_recopy" in refused.err
    assert job.ci("apply", "--allow", "full_recopy", "shop.py").code == 0
    failed = job.ci("run", "--wait", "shop.py")
    assert failed.code == 1
    assert "reset_checkpoint" in failed.out
    _, status, _ = job.service.ask("GET", "/mappings/shop/status")
    assert status["origin"] == {
        "repository": "https://github.com/acme/jobs",
        "commit": "c0ffee",
        "path": "shop.py",
    }
    assert status["managed_by"] == "ci"


def test_examples_of_the_documentation_do_what_they_say(job: Job, document: dict[str, Any]) -> None:
    """The jobs of docs/ci.md, in a checkout as they make it: the mappings, and of this project the client alone."""
    client = job.checkout / "dms" / "migrations_app"
    shutil.copytree(PROJECT / "migrations_app" / "ci", client / "ci")
    shutil.copy(PROJECT / "migrations_app" / "__init__.py", client)
    (job.checkout / "mappings").mkdir()
    job.write("mappings/example.py", document)
    github, gitlab = (yaml.safe_load(part.partition("```")[0]) for part in _DOCUMENTED.split("```yaml\n")[1:])
    steps = {step["name"]: step["run"] for step in github["jobs"]["mappings"]["steps"] if "name" in step}
    environment = {"PYTHONPATH": github["jobs"]["mappings"]["env"]["PYTHONPATH"]}
    assert gitlab[".client"]["variables"] == environment

    outputs = [
        job.shell(script, **environment)
        for script in (steps["Compare"], steps["Apply"], *gitlab["compare"]["script"], *gitlab["apply"]["script"])
    ]
    # The mapping that the example runs has another name; its table is the one of this test.
    (ran,) = gitlab["run"]["script"]
    outputs.append(job.shell(ran.replace("shop.py", "example.py"), **environment))

    assert [(each.code, each.err) for each in outputs] == [(0, "")] * 5
    assert [each.out.splitlines()[0] for each in outputs] == [
        "example: would be created, impact none",
        "example: created, impact none",
        "example: unchanged, impact none",
        "example: unchanged, impact none",
        "example: 1 run queued",
    ]
    assert "succeeded" in outputs[-1].out


def test_wrong_file_ends_with_its_mistakes_and_the_others_are_applied(job: Job, document: dict[str, Any]) -> None:
    job.write("good.yaml", document)
    job.write("wrong.json", {"mapping": document | {"tables": [document["tables"][0] | {"mode": "copying"}]}})

    done = job.ci("apply", "wrong.json", "good.yaml")

    assert done.code == 2
    assert "/tables/0/mode: expected" in done.err
    assert "request id" in done.err
    assert done.out == "good: created, impact none\n"


def test_bundle_is_applied_and_pruned(job: Job, document: dict[str, Any]) -> None:
    for name in ("a.py", "b.json", "c.yaml"):
        job.write(name, document)

    assert job.ci("apply", "--bundle", "team", "a.py", "b.json", "c.yaml").code == 0
    planned = job.ci("diff", "--bundle", "team", "--prune", "a.py")
    assert "b: would be removed; rows at destinations stay" in planned.out
    assert json.loads(job.ci("apply", "--json", "--bundle", "team", "--prune", "a.py").out)["pruned"] == ["b", "c"]
    assert job.ci("apply", "--prune", "a.py").code == 2


@pytest.mark.parametrize(
    ("environment", "code", "says"),
    [
        ({"DMS_URL": ""}, 2, "DMS_URL"),
        ({"DMS_URL": "ftp://dms.example"}, 2, "DMS_URL"),
        ({"DMS_URL": "http://dms.example"}, 2, "plain HTTP"),
        ({"DMS_TOKEN": ""}, 2, "create_token"),
        ({"DMS_TOKEN": "dms_nonsense"}, 1, "not_authenticated"),
    ],
)
def test_what_is_missing_is_said(
    job: Job, document: dict[str, Any], environment: dict[str, str], code: int, says: str
) -> None:
    job.write("shop.py", document)

    done = job.ci("diff", "shop.py", **environment)

    assert done.code == code
    assert says in done.err
    assert job.service.key not in done.out + done.err


def test_file_that_cannot_be_read_is_named(job: Job) -> None:
    (job.checkout / "shop.txt").write_text("x")
    (job.checkout / "half.json").write_text("{")

    done = job.ci("apply", "missing.py", "shop.txt")
    assert done.code == 2
    assert "missing.py: cannot be read" in done.err
    assert "shop.txt: has another ending" in done.err
    assert job.ci("apply", "half.json").code == 2


def test_busy_mapping_is_told_by_its_exit_code(job: Job, document: dict[str, Any]) -> None:
    job.write("busy.py", document)
    job.ci("apply", "busy.py")
    job.service.manage(
        "shell",
        "-c",
        "from migrations_app.models import Run, Stream;"
        "Run.objects.create(stream=Stream.objects.get(mapping='busy'), trigger='cli')",
    )

    done = job.ci("run", "--wait", "busy")

    assert done.code == 3
    assert "already_running" in done.err
    waited = job.ci("run", "nothing_there")
    assert (waited.code, "not_found" in waited.err) == (1, True)
