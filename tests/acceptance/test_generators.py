"""The description of the API, given to generators of clients and to linters: what they make of it works."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.acceptance.programs import PATIENCE, environment, serving
from tests.requirements import need

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".servers-venv" / "bin"
NODE = ROOT / ".openapi-node" / "node_modules" / ".bin"

PYTHON_PROGRAM = """
import sys
from generated import Client
from generated.api.deliveries import list_deliveries
from generated.api.packets import post_packets
from generated.api.resources import complete_resource, get_outputs, get_resource, list_resources, put_packet
from generated.api.service import get_status
from generated.models import Completion, ListResourcesState, Problem, State, Status, WirePacket

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
packets = [WirePacket(resource_id="call-1", index=index, payload={"text": "x" * index}) for index in range(2)]
receipts = post_packets.sync(client=client, body=packets)
assert [receipt.status for receipt in receipts.receipts] == [Status.ACCEPTED] * 2, receipts
assert post_packets.sync(client=client, body=packets[0]).status == Status.DUPLICATE
assert put_packet.sync("call-1", 2, client=client, body=[1, "a"]).status == Status.ACCEPTED
refused = put_packet.sync("call-1", 2, client=client, body="another")
assert isinstance(refused, Problem) and refused.code == "conflict", refused
assert complete_resource.sync("call-1", client=client, body=Completion(total=3)).total == 3
seq = 0
while (page := get_outputs.sync("call-1", client=client, after_seq=seq, wait=10.0)).more:
    seq = page.after_seq
outputs = get_outputs.sync("call-1", client=client, limit=2)
assert [(one.index, one.output) for one in outputs.outputs] == [(0, '{"text": ""}'), (1, '{"text": "x"}')], outputs
resource = get_resource.sync("call-1", client=client)
assert (resource.state, resource.missing, resource.metadata.to_dict()) == (State.COLLATED, [], {}), resource
(line,) = list_resources.sync(client=client, state=ListResourcesState.COLLATED).resources
assert line.resource_id == "call-1"
assert list_deliveries.sync(client=client).deliveries == []
assert get_status.sync(client=client).stored.collated == 1
unknown = get_resource.sync("nobody", client=client)
assert (unknown.status, unknown.code) == (404, "unknown")
print("done")
"""

TYPESCRIPT_PROGRAM = """
import type { components, paths } from "./api";

type Resource = components["schemas"]["ResourceView"];
type Query = NonNullable<paths["/v1/deliveries"]["get"]["parameters"]["query"]>;

const packet: components["schemas"]["WirePacket"] = { resource_id: "call-1", index: 0, payload: [1], last: true };
const told = (resource: Resource): number => resource.missing.length + (resource.total ?? 0);
const query: Query = { state: "dead", limit: 10 };
// @ts-expect-error there is no such state
const misspelt: Query = { state: "deadd" };
// @ts-expect-error the total may not be known
const total = (resource: Resource): number => resource.total;
// @ts-expect-error an index is a number
const wrong: components["schemas"]["WirePacket"] = { resource_id: "call-1", index: "0", payload: null };
export { misspelt, packet, query, told, total, wrong };
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a service, and its description in a file."""
    home = tmp_path_factory.mktemp("home")
    with serving(home, "--processor", "json:dumps") as (_, url):
        with urlopen(f"{url}/openapi.json", timeout=PATIENCE) as answer:  # noqa: S310 - a service of the test
            (home / "openapi.json").write_bytes(answer.read())
        yield url, home / "openapi.json"


def run(*command: object, cwd: Path) -> str:
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_generated_python_client_posts_puts_reads_completes_and_lists(
    service: tuple[str, Path], tmp_path: Path
) -> None:
    need((PROGRAMS / "openapi-python-client").exists(), "openapi-python-client (make servers)")
    url, description = service
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    options = ("--output-path", "generated", "--meta", "none", "--config", "config.yaml")
    told = run(PROGRAMS / "openapi-python-client", "generate", "--path", description, *options, cwd=tmp_path)
    assert told.count("WARNING") == told.count("Unsupported content type") == 2  # lines of JSON, which it does not send
    (tmp_path / "program.py").write_text(PYTHON_PROGRAM)
    assert run(PROGRAMS / "python", "program.py", url, cwd=tmp_path) == "done\n"


def test_everything_is_in_words_that_users_know_and_has_a_type(service: tuple[str, Path]) -> None:
    text = service[1].read_text()
    document = json.loads(text)
    assert "(R1" not in text
    assert "collator." not in text.replace("collator.toml", "")
    assert [
        (name, key)
        for name, schema in document["components"]["schemas"].items()
        for key, field in schema.get("properties", {}).items()
        if not {"type", "$ref", "anyOf"} & {*field} and "Any JSON value" not in field["description"]
    ] == []
    tags = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}
    assert tags == {tag["name"] for tag in document["tags"]}


# Programs of npm take a minute to install and half of one to run: they are for `make openapi`.
node = pytest.mark.skipif(not NODE.is_dir(), reason="programs of npm are installed by make openapi")


@node
def test_generated_types_are_right_for_typescript(service: tuple[str, Path], tmp_path: Path) -> None:
    run(NODE / "openapi-typescript", service[1], "-o", "api.ts", cwd=tmp_path)
    (tmp_path / "program.ts").write_text(TYPESCRIPT_PROGRAM)
    options = ("--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")
    run(NODE / "tsc", *options, "program.ts", cwd=tmp_path)


@node
def test_redocly_finds_no_error(service: tuple[str, Path], tmp_path: Path) -> None:
    run(NODE / "redocly", "lint", service[1], cwd=tmp_path)


@node
def test_spectral_finds_no_error(service: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    run(NODE / "spectral", "lint", service[1], cwd=tmp_path)
