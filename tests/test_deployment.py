"""What is deployed fits what there is: variables that the settings read, commands with their options, files, limits."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from pytest_django import Settings

from controlplane.environment import ALLOWED_PREFIXES, is_allowed
from migrations_app.management.selecting import ExitCode
from migrations_app.monitoring import health, metrics
from migrations_app.monitoring.views import _VIEWS as ADDRESSES

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "compose.yaml"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
#: Read by Python and the shell, not by us.
FOREIGN = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
#: How long ending takes after draining: the worker's own limits, and time to spare.
ENDING_S = 45


def read_by_settings() -> set[str]:
    source = (ROOT / "controlplane" / "settings.py").read_text(encoding="utf-8")
    return set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def everything() -> list[dict[str, Any]]:
    return [document for path in MANIFESTS for document in documents(path)]


def compose() -> dict[str, Any]:
    (document,) = documents(COMPOSE)
    return document


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod of the manifests, by the name of what makes it."""
    for document in everything():
        spec = document.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield document["metadata"]["name"], template["spec"]


def containers() -> list[tuple[str, dict[str, Any]]]:
    return [(name, container) for name, pod in pods() for container in pod["containers"]]


def variables() -> dict[str, set[str]]:
    """What each file sets, by file."""
    found = {"Dockerfile": set(re.findall(r"\b([A-Z][A-Z_]+)=", DOCKERFILE.replace("ARG PYTHON=", "")))}
    services = compose()["services"]
    found["compose.yaml"] = {name for key in ("web", "worker", "migrate") for name in services[key]["environment"]}
    env_file = (DEPLOY / "systemd" / "dms.env").read_text(encoding="utf-8")
    found["dms.env"] = set(re.findall(r"^([A-Z_]+)=", env_file, re.MULTILINE))
    shared = [document for document in everything() if document["kind"] in {"ConfigMap", "Secret"}]
    found["kubernetes"] = {name for each in shared for name in (each.get("data") or each.get("stringData") or {})}
    found["kubernetes"] |= {each["name"] for _, container in containers() for each in container.get("env", [])}
    return found


def command_lines() -> list[list[str]]:
    """Every command that is called with manage.py."""
    lines = [service.get("command", []) for service in compose()["services"].values()]
    for _, container in containers():
        lines.append(container.get("command", []))
        lines.append(container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", []))
    for unit in UNITS:
        lines += [shlex.split(value) for key, value in settings_of(unit) if key in {"ExecStart", "ExecStop"}]
    lines += [shlex.split(line) for line in re.findall(r"(python manage\.py [a-z_]+[^\\&]*)", DOCKERFILE)]
    return [line[line.index("manage.py") + 1 :] for line in lines if "manage.py" in line]


def settings_of(unit: Path) -> list[tuple[str, str]]:
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [(key, value) for key, _, value in (line.partition("=") for line in lines if re.match(r"[A-Z]\w+=", line))]


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "dms.env", "kubernetes"])
def test_every_variable_is_read_by_the_settings_or_may_be_referred_to(name: str) -> None:
    found = variables()[name]
    assert len(found) >= 6
    unknown = {each for each in found - read_by_settings() - FOREIGN if not is_allowed(each, ALLOWED_PREFIXES)}
    assert unknown == set()
    ours = {each for each in found if each.startswith("DMS_")}
    assert ours <= read_by_settings()


@pytest.mark.parametrize("name", ["compose.yaml", "dms.env", "kubernetes"])
def test_what_a_real_installation_needs_is_set(name: str) -> None:
    assert {"SECRET_KEY", "DMS_SECRET_KEYS", "DATABASE_URL", "ALLOWED_HOSTS"} <= variables()[name]


def test_every_command_exists_with_its_options() -> None:
    lines = command_lines()
    assert {line[0] for line in lines} == {"migrate", "worker", "drain", "run_migration", "collectstatic"}
    for name, *arguments in lines:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        parser.parse_args(arguments)


def test_web_is_served_by_what_the_image_has() -> None:
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.search(r"^gunicorn==", locked, re.MULTILINE)
    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    program, application, *_ = yaml.safe_load(command)
    assert (program, application) == ("gunicorn", "controlplane.wsgi")
    assert (ROOT / "controlplane" / "wsgi.py").exists()


def test_image_copies_what_there_is_and_ignores_the_rest() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert {"manage.py", "connectors", "controlplane", "migrations_app", "templates"} <= set(copied)
    assert all((ROOT / source).exists() for source in copied)
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert "*" in rules
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied)


def test_image_ends_as_a_user_without_rights() -> None:
    users = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert users == ["10001"]
    assert DOCKERFILE.index("USER 10001") < DOCKERFILE.index("\nCMD ")
    # A shell as process 1 would keep SIGTERM to itself.
    assert not re.search(r"^(CMD|ENTRYPOINT) (?!\[)", DOCKERFILE, re.MULTILINE)
    assert all(int(user) == pod["securityContext"]["runAsUser"] for user in users for _, pod in pods())


@pytest.mark.parametrize("name", ["web", "worker", "migrate"])
def test_containers_of_compose_write_to_their_volumes_only(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - in the container
    assert any(volume.endswith(":/var/lib/dms") for volume in service["volumes"])
    assert "init" not in service


def test_compose_names_only_services_and_volumes_that_it_has() -> None:
    document = compose()
    services = document["services"]
    assert {"postgres", "mongo", "redis", "kafka", "s3", "web", "worker", "migrate"} == set(services)
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert volumes <= set(document["volumes"])


@pytest.mark.parametrize(("name", "container"), containers(), ids=lambda each: each if isinstance(each, str) else "")
def test_pods_are_unprivileged_and_write_to_their_volumes_only(name: str, container: dict[str, Any]) -> None:
    pod = dict(pods())[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
    assert set(mounted.values()) == {"/tmp", "/var/lib/dms"}  # noqa: S108 - in the container


def test_manifests_refer_to_each_other_by_name() -> None:
    known = {(each["kind"], each["metadata"]["name"]) for each in everything()}
    for _, container in containers():
        for source in container["envFrom"]:
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if key in source:
                    assert (kind, source[key]["name"]) in known
    (web,) = [pod for pod in everything() if pod["kind"] == "Deployment" and pod["metadata"]["name"] == "dms-web"]
    (service,) = [each for each in everything() if each["kind"] == "Service"]
    assert service["spec"]["selector"].items() <= web["spec"]["template"]["metadata"]["labels"].items()


def test_probes_ask_addresses_that_answer() -> None:
    asked = [
        container[probe]["httpGet"]["path"]
        for _, container in containers()
        for probe in ("livenessProbe", "readinessProbe")
        if probe in container
    ]
    asked += re.findall(r"127\.0\.0\.1:8000(/\w+)", DOCKERFILE)
    assert len(asked) == 3
    for address in asked:
        path, _, query = address.partition("?checks=")
        assert path in ADDRESSES
        assert not query or query in health.NAMES


def test_workers_have_time_to_drain_before_they_are_killed() -> None:
    pod = dict(pods())["dms-worker"]
    (container,) = pod["containers"]
    drain = container["lifecycle"]["preStop"]["exec"]["command"]
    drain_s = int(drain[drain.index("--timeout") + 1])
    assert pod["terminationGracePeriodSeconds"] >= drain_s + ENDING_S
    unit = dict(settings_of(DEPLOY / "systemd" / "dms-worker.service"))
    stop = shlex.split(unit["ExecStop"])
    assert int(unit["TimeoutStopSec"]) >= int(stop[stop.index("--timeout") + 1]) + ENDING_S
    assert int(compose()["services"]["worker"]["stop_grace_period"].removesuffix("s")) >= ENDING_S


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_signal_the_main_process_and_always_restart(unit: Path) -> None:
    settings = dict(settings_of(unit))
    assert (settings["KillMode"], settings["Restart"]) == ("mixed", "always")
    assert settings["User"] != "root"
    assert settings["EnvironmentFile"] == "/etc/dms/dms.env"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_the_units(unit: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    said = subprocess.run(
        [program, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    ).stderr
    # The service is not installed on this machine; anything else it says is a mistake of ours.
    complaints = [line for line in said.splitlines() if unit.name in line and "is not executable" not in line]
    assert complaints == []


@pytest.mark.django_db
def test_alerts_ask_for_metrics_that_there_are() -> None:
    (document,) = documents(DEPLOY / "prometheus" / "alerts.yaml")
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len(rules) > 5
    offered = set(re.findall(r"^# TYPE (\w+) ", metrics.exposition(), re.MULTILINE))
    for rule in rules:
        assert set(re.findall(r"\bdms_\w+", rule["expr"])) <= offered


def test_workers_of_two_versions_never_meet() -> None:
    (worker,) = [each for each in everything() if each["metadata"]["name"] == "dms-worker"]
    assert worker["spec"]["strategy"] == {"type": "Recreate"}


def test_job_whose_pod_was_killed_is_tried_until_the_lease_of_its_run_has_expired(settings: Settings) -> None:
    (cronjob,) = [each for each in everything() if each["kind"] == "CronJob"]
    job = cronjob["spec"]["jobTemplate"]["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert ExitCode.ALREADY_RUNNING not in rule["onExitCodes"]["values"]
    # Source: kubernetes.io/docs/concepts/workloads/controllers/job, "Pod backoff failure policy"
    last_try_s = sum(10 * 2**number for number in range(job["backoffLimit"]))
    assert last_try_s > 2 * settings.DMS_LEASE_S
