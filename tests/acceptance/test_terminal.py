"""Commands in a terminal of 80 columns, as a person sees them; and through a pipe, as a script does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from collator import SyncClient
from collator.cli.exits import Exit
from tests.acceptance.programs import COMMAND, PATIENCE, environment, run, serving
from tests.harness.terminal import Terminal
from tests.wait import until_sync

TABLES = ("deliveries", "resources", "endpoints", "audit", "status", "deliveries --state delivered")
VERBS_OF_ENDPOINTS = [
    "deliveries --endpoint arhcive",
    "deliveries replay --endpoint arhcive",
    *(f"endpoints {verb} arhcive" for verb in ("pause", "resume", "try", "test")),
]
LONG = "a-resource-with-an-id-that-is-" + "longer-" * 12
SETTINGS = """
[endpoints.archive-of-the-whole-company]
url = "http://127.0.0.1:1/"
[endpoints.b]
url = "http://127.0.0.1:2/"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with what is long: ids, names, and the reasons of what failed."""
    home = tmp_path_factory.mktemp("home")
    (home / "collator.toml").write_text(SETTINGS)
    with serving(home, "--processor", "builtins:len", webhook="http://127.0.0.1:1/") as (_, url):
        with SyncClient(url) as client:
            client.send({"resource_id": name, "index": 0, "payload": "x", "last": True} for name in (LONG, "call-17"))
            client.send([{"resource_id": "call-18", "index": 0, "payload": "x"}])
            client.cancel("call-18")
            until_sync(lambda: all(one["attempts"] for one in client.deliveries()["deliveries"]))
            until_sync(lambda: all(one["why_not_sent"] for one in client.endpoints()["endpoints"]))
        yield url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("empty")) as (_, url):
        yield url


def shown(tmp_path: Path, url: str, line: str) -> list[str]:
    """The rows of a terminal of 80 columns; a line that is longer takes two."""
    command = [*COMMAND, *line.split(), "--url", url]
    with Terminal(command, cwd=tmp_path, env=environment(), columns=80) as terminal:
        assert terminal.end(PATIENCE) == Exit.OK
        return [*terminal.screen.lines()]


@pytest.mark.parametrize("line", TABLES)
def test_a_table_has_a_line_for_each_row_in_80_columns(tmp_path: Path, service: str, line: str) -> None:
    piped = run(*line.split(), "--url", service, cwd=tmp_path)
    assert "\x1b" not in piped.stdout + piped.stderr
    assert len(shown(tmp_path, service, line)) == len(piped.stdout.splitlines())  # none wraps


def test_deliveries_tell_what_a_person_asks_first(tmp_path: Path, service: str) -> None:
    heads, *rows = shown(tmp_path, service, "deliveries --resource call-17")
    assert heads.split() == ["RESOURCE", "ENDPOINT", "STATE", "TRIES", "LAST", "NEXT", "REASON"]
    assert len(rows) == 3
    assert all(row.split()[0] == "call-17" and "msg_" not in row for row in rows)
    wide = run("deliveries", "--resource", "call-17", "--wide", "--url", service, cwd=tmp_path).stdout.splitlines()
    with SyncClient(service) as client:
        ids = {one["id"] for one in client.deliveries(resource_id="call-17")["deliveries"]}
    assert {row.split()[0] for row in wide[1:]} == ids
    start = wide[0].index("NEXT")
    assert all(re.match(r"\d+\.\ds ", row[start:]) for row in wide[1:])


def test_what_is_no_id_of_a_delivery_is_told_where_the_ids_are(tmp_path: Path, service: str) -> None:
    for verb in ("show", "replay", "give-up"):
        done = run("deliveries", verb, "call-17", "--url", service, cwd=tmp_path)
        assert done.returncode == Exit.USAGE
        assert "is not WEBHOOK_ID:ENDPOINT; collator deliveries list --wide has it" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [("deliveries", "no deliveries"), ("resources", "no resources"), ("audit", "no records")],
)
def test_an_empty_list_is_one_line(tmp_path: Path, empty: str, line: str, said: str) -> None:
    assert shown(tmp_path, empty, line) == [said]


@pytest.mark.parametrize("line", VERBS_OF_ENDPOINTS)
def test_an_endpoint_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, service: str, line: str) -> None:
    done = run(*line.split(), "--url", service, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (Exit.UNKNOWN, "")
    names = "archive-of-the-whole-company, b, default"
    assert done.stderr == f"collator: there is no endpoint 'arhcive'; there are: {names}\n"


def test_to_resume_what_waits_for_its_receiver_says_how_to_try_it(tmp_path: Path, service: str) -> None:
    until_sync(lambda: "breaker open" in run("endpoints", "--url", service, cwd=tmp_path).stdout)
    told = shown(tmp_path, service, "endpoints resume default")
    assert told[-1] == "  to try it at once: collator endpoints try default"


def test_a_replay_of_what_is_due_says_that_nothing_changed(tmp_path: Path, service: str) -> None:
    with SyncClient(service) as client:
        one = client.deliveries(resource_id="call-17", endpoint="b")["deliveries"][0]["id"]
    told = shown(tmp_path, service, f"deliveries replay {one}")
    assert "  replay      nothing changed: it was due already" in told
    assert "              to send it at once: collator deliveries give-up, then replay" in told
    assert "              where its receiver was mended: collator endpoints try b" in told
    first, *rest = shown(tmp_path, service, "deliveries replay --resource call-17")
    assert (first, rest[0]) == ("0 webhooks will be sent again", "due already, so unchanged: 3")
    assert [line.partition("collator ")[2] for line in rest[1:]] == [
        "deliveries give-up ID, then replay ID",
        "deliveries list --state due --wide",
        "endpoints try NAME",
    ]
    assert run("deliveries", "give-up", one, "--url", service, cwd=tmp_path).returncode == 0
    assert shown(tmp_path, service, "deliveries replay --endpoint b --resource call-17") == [
        "1 webhook will be sent again"
    ]
    assert run("deliveries", "give-up", one, "--url", service, cwd=tmp_path).returncode == 0
    assert not any("nothing changed" in line for line in shown(tmp_path, service, f"deliveries replay {one}"))


@pytest.mark.parametrize("path", ["/v1/status", "/v1/resources/call-17", "/v1/resources/call-17/outputs", "/nowhere"])
def test_an_answer_leaves_a_clean_prompt(service: str, path: str) -> None:
    connection = HTTPConnection(service.removeprefix("http://"), timeout=PATIENCE)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    assert body.endswith(b"}\n")
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize("body", [{"index": 0}, [{"index": 0}], {"index": -1}])
def test_a_receipt_and_a_refusal_leave_a_clean_prompt(service: str, body: object) -> None:
    packet = {"resource_id": "call-19", "payload": "x"}
    sent = [packet | one for one in body] if isinstance(body, list) else packet | dict(body)  # type: ignore[call-overload]
    connection = HTTPConnection(service.removeprefix("http://"), timeout=PATIENCE)
    connection.request("POST", "/v1/packets", json.dumps(sent), {"content-type": "application/json"})
    assert connection.getresponse().read().endswith(b"}\n")
    connection.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_what_completes_commands(tmp_path: Path, shell: str) -> None:
    script = run(cwd=tmp_path, env={"_COLLATOR_COMPLETE": f"{shell}_source"}).stdout
    assert "_COLLATOR_COMPLETE" in script
    asked = {"_COLLATOR_COMPLETE": f"{shell}_complete", "COMP_WORDS": "collator de", "COMP_CWORD": "1"}
    words = run(cwd=tmp_path, env=asked | ({"COMP_CWORD": "de"} if shell == "fish" else {})).stdout
    assert {"demo", "deliveries"} <= {*re.split(r"[,\t\n]", words)}


def test_bash_completes_a_verb_and_an_option(tmp_path: Path) -> None:
    script = 'eval "$(_COLLATOR_COMPLETE=bash_source collator)"\n'
    for words in ("collator deliveries re", "collator deliveries list --wi"):
        last = words.count(" ")
        script += f"COMPREPLY=(); COMP_WORDS=({words}); COMP_CWORD={last}; _collator_completion collator\n"
        script += 'echo "${COMPREPLY[@]}"\n'
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", script], env=environment(PATH=path), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "replay\n--wide\n"
