"""The files of examples/cluster: their formats are right, and each command line and setting in them is one there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from collator.cli.main import cli
from collator.settings import OPTIONS, Settings, values, variable
from collator.web.routes import ROUTES
from tests.requirements import need
from tests.unit.test_deploy import effective

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "examples" / "cluster"
PYTHON = ROOT / ".servers-venv" / "bin" / "python"
UNITS = sorted(CLUSTER.glob("systemd/*.service"))
MANIFESTS = sorted(CLUSTER.glob("kubernetes/*.yaml"))
COMPOSE: Mapping[str, Any] = yaml.safe_load((CLUSTER / "compose.yaml").read_text("utf-8"))
CONFIG = "/run/secrets/collator.toml"


def documents() -> list[dict[str, Any]]:
    """Every Kubernetes object."""
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text("utf-8"))]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the template of each workload."""
    for one in documents():
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def runs() -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Where a command of Collator is run, its arguments, and its environment."""
    for name, service in COMPOSE["services"].items():
        if "build" in service:
            yield f"compose {name}", service["command"], service.get("environment", {})
    for name, pod in pods():
        (container,) = pod["containers"]
        if container["image"].startswith("collator"):
            environ = {one["name"]: one["value"] for one in container.get("env", ())}
            yield f"kubernetes {name}", container["args"], environ
    for path in UNITS:
        text = path.read_text("utf-8").replace("\\\n", " ").replace("%d", "/run/credentials")
        (line,) = re.findall(r"^ExecStart=\S+/collator (.*)$", text, re.MULTILINE)
        yield path.name, line.split(), {}


RUNS = [*runs()]


def without_config(arguments: list[str]) -> list[str]:
    """The arguments but the file of settings, which is not there."""
    place = arguments.index("--config") if "--config" in arguments else len(arguments)
    return arguments[:place] + arguments[place + 2 :]


def settings_of(arguments: list[str], environ: Mapping[str, str]) -> Settings:
    broker = {"COLLATOR_BROKER": "redis://:password@valkey:6379/0"}  # from the file of settings
    return effective(without_config(arguments), **broker, **environ)


def test_options_of_celery_are_few() -> None:
    for where, arguments, _ in RUNS:
        if arguments[0] == "worker":
            context = cli.commands["worker"].make_context("worker", without_config(arguments)[1:])
            assert {*context.params["celery"]} <= {"-c", "2", "-l", "info"}, where


def test_nodes_workers_and_receivers_are_found() -> None:
    assert [where for where, _, _ in RUNS] == [
        *("compose node-1", "compose node-2", "compose worker", "compose receiver"),
        *("kubernetes collator-node", "kubernetes collator-worker", "collator-node.service", "collator-worker.service"),
    ]


@pytest.mark.parametrize(("where", "arguments", "environ"), RUNS, ids=[where for where, _, _ in RUNS])
def test_each_command_line_and_variable_is_one_there_is(
    where: str, arguments: list[str], environ: dict[str, str]
) -> None:
    assert {*environ} <= {variable(name) for name in OPTIONS}, where
    settings = settings_of(arguments, environ)
    if arguments[0] == "serve":
        assert settings.workers == "celery"
        assert settings.ledger.count(",") == 1, "both servers are named"
        assert settings.ledger_durability == "strict"
        assert settings.ledger_password_file
        assert settings.webhook_secret_file
        assert settings.tokens_file
    if arguments[0] in {"serve", "worker"}:
        assert "--config" in arguments, "the address of the broker has a password"


@pytest.mark.parametrize(("where", "arguments", "environ"), RUNS, ids=[where for where, _, _ in RUNS])
def test_who_supervises_waits_longer_than_the_drain(where: str, arguments: list[str], environ: dict[str, str]) -> None:
    if arguments[0] == "receive":
        return
    given = Settings()
    wanted = given.processor_timeout if arguments[0] == "worker" else settings_of(arguments, environ).drain_timeout
    assert grace(where) >= wanted + 10, where


def grace(where: str) -> float:
    """Seconds between the signal and the kill."""
    kind, _, name = where.partition(" ")
    if kind == "compose":
        return values.duration(COMPOSE["services"][name]["stop_grace_period"])
    if kind == "kubernetes":
        return float(dict(pods())[name]["terminationGracePeriodSeconds"])
    (text,) = re.findall(r"^TimeoutStopSec=(\w+)$", (CLUSTER / "systemd" / kind).read_text("utf-8"), re.MULTILINE)
    return values.duration(text)


def test_compose_locks_every_service_and_bounds_it() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["mem_limit"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for secret in service.get("secrets", ()):
            assert secret in COMPOSE["secrets"]
    assert "ledger.password" not in COMPOSE["services"]["worker"]["secrets"]


@pytest.mark.parametrize(("name", "pod"), [*pods()], ids=[name for name, _ in pods()])
def test_a_pod_runs_without_rights_and_within_bounds(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    if name != "valkey":
        assert "podAntiAffinity" in pod["affinity"]
    volumes = {volume["name"] for volume in pod["volumes"]} | {"data"}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_probes_ask_routes_that_need_no_token() -> None:
    (node,) = dict(pods())["collator-node"]["containers"]
    open_routes = {route.path for route in ROUTES if route.role is None}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert node[probe]["httpGet"]["path"] in open_routes


def test_kubernetes_names_what_there_is() -> None:
    listed = yaml.safe_load((CLUSTER / "kubernetes" / "kustomization.yaml").read_text("utf-8"))
    there = {path.name for path in MANIFESTS} - {"kustomization.yaml"}
    assert {*listed["resources"]} == there
    for generated in listed["configMapGenerator"]:
        assert all((CLUSTER / "kubernetes" / name).exists() for name in generated["files"])
    made = re.findall(r"\[ ! -e ([\w.]+) \]|\[ -e ([\w.]+) \]", (CLUSTER / "secrets.sh").read_text("utf-8"))
    assert {*COMPOSE["secrets"]} == {name for pair in made for name in pair if name}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text("utf-8").replace("/opt/collator/bin/collator", shutil.which("true") or "/bin/true")
    (copy := tmp_path / unit.name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False, timeout=60)
    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert told == []


@pytest.mark.parametrize("script", ["secrets.sh", "replication.sh", "standby.sh"])
def test_scripts_are_scripts(script: str) -> None:
    subprocess.run(["sh", "-n", CLUSTER / script], check=True)


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
    need(program, "nginx")
    text = (CLUSTER / "nginx.conf").read_text("utf-8").replace("node-1", "127.0.0.1").replace("node-2", "127.0.0.2")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = "\n".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)  # else the superuser's
    whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{own}\n{text}\n}}\n"
    (tmp_path / "nginx.conf").write_text(whole)
    command = [str(program), "-t", "-q", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def validated(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a validator of `make servers`."""
    need(PYTHON.exists(), "the validators of make servers")
    return subprocess.run([PYTHON, *arguments], capture_output=True, text=True, check=False, timeout=120)


def test_compose_is_what_its_schema_says() -> None:
    done = validated("-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", CLUSTER / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_manifest_is_what_its_schema_says(tmp_path: Path) -> None:
    manifests = [one for one in documents() if one["kind"] != "Kustomization"]
    assert len(manifests) >= 10
    (tmp_path / "manifests").write_text(json.dumps(manifests))
    program = (
        "import json, sys, kubernetes_validate\n"
        "for one in json.load(open(sys.argv[1])): kubernetes_validate.validate(one, '1.30', strict=True)"
    )
    done = validated("-c", program, tmp_path / "manifests")
    assert done.returncode == 0, done.stderr
