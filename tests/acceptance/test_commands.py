"""Every command at a real service: found by itself, the same for people and for programs, each with its route."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from collator.cli.exits import Exit
from collator.cli.main import ALIASES, cli, listed, run
from collator.cli.manual import verbs
from collator.client.answer import Response
from collator.client.connection import HttpConnection
from collator.client.sync import SyncClient
from collator.web.routes import ROUTES
from tests.acceptance.programs import receiving, serving
from tests.wait import until_sync

PROCESSOR = """
from pathlib import Path
from collator import Permanent

def shaky(payload):
    if payload == "fails" and not Path("mended").exists():
        raise Permanent("not yet")
    return payload
"""
SETTINGS = """
on_failure = "hold"
processor = "stage:shaky"
[endpoints.away]
url = "http://127.0.0.1:1/"
"""
# What each command is asked here, once for a person and once for a program: {mode} tells the two apart.
CASES = {
    "status": "status",
    "resources list": "resources list --state open --prefix open- --limit 2",
    "resources show": "resources show whole",
    "resources packet": "resources packet whole 0",
    "resources outputs": "resources outputs whole --cursor 0 --limit 5",
    "resources complete": "resources complete open-complete-{mode} --total 1",
    "resources cancel": "resources cancel open-cancel-{mode}",
    "resources retry": "resources retry failing-{mode}",
    "resources purge": "resources purge gone-{mode}",
    "deliveries list": "deliveries list --resource whole --since 2026-11-24",
    "deliveries show": "deliveries show {delivery}:default",
    "deliveries replay": "deliveries replay --resource whole --state delivered",
    "deliveries give-up": "deliveries give-up {delivery}:away",
    "endpoints list": "endpoints list",
    "endpoints pause": "endpoints pause away",
    "endpoints resume": "endpoints resume away",
    "endpoints try": "endpoints try away",
    "endpoints test": "endpoints test default",
    "follow": "follow whole --after-seq 1",
    "audit": "audit",
    "send": "send packets-{mode}.ndjson --no-wait",
    "config": "config --port 9001",
    "try": "try 5",
    "backup": "backup copy-{mode}",
    "check": "check --data-dir copy",
    "token": "token desk",
    "secret show": "secret show",
    "secret rotate": "secret rotate --finish",
    "secret new": "secret new",
}
BY_ID = [name for name in CASES if " " in name and not name.startswith("secret ") and not name.endswith(" list")]
# The same under the names of before, and without a verb.
FORMER = {
    "show": "show whole",
    "outputs": "outputs whole --cursor 0 --limit 5",
    "complete": "complete open-complete-former-{mode} --total 1",
    "cancel": "cancel open-cancel-former-{mode}",
    "retry": "retry --state open --prefix failing-former-{mode} --reason yet",
    "purge": "purge gone-former-{mode}",
    "replay": "replay {delivery}:default",
    "give-up": "give-up {delivery}:away",
    "stop": "stop {delivery}:away",
    "pause": "pause away",
    "resume": "resume away",
}
FORMER_FORMS = (
    "resources",
    "resources --state open --prefix open- --limit 2",
    "deliveries --resource whole --since 2026-11-24",
    "deliveries {delivery}:default",
    "endpoints",
)
ASKING_NOBODY = {"backup", "check", "secret", "token", "try"}
RUN_UNTIL_STOPPED = {"serve", "receive", "worker"}
TOLD_ELSEWHERE = {"demo": "test_demo", "chaos": "test_chaos", "move": "../move/test_move"}
TYPED = {path: command for path, command in verbs(listed()) if not isinstance(command, click.Group)}
# Routes without a command of their own, and why.
FOR_PROGRAMS = {
    "getHealth": "for a supervisor: status asks more",
    "getReadiness": "for a load balancer: status says the same",
    "getMetrics": "for Prometheus: status has what the store holds",
    "getDescription": "for those who write clients",
    "getEvents": "follow asks for it while the resource is open; here all have ended",
    "createTicket": "for backends of applications, which have a page to follow a resource",
    "getServiceEvents": "for pages that show the service live: status and metrics say the same when asked",
    "openStream": "for live sources: send gives packets",
    "putPacket": "for devices without JSON: send gives packets",
}


class Stage(NamedTuple):
    """A service with a resource of each kind, and what was asked of it."""

    url: str
    delivery: str
    asked: set[tuple[str, str]]

    def arguments(self, line: str, mode: str) -> list[str]:
        words = shlex.split(line.format(mode=mode, delivery=self.delivery))
        return [*words, *([] if words[0] in ASKING_NOBODY else ["--url", self.url])]


def packet(resource_id: str, payload: str = "x", *, last: bool = False) -> dict[str, Any]:
    return {"resource_id": resource_id, "index": 0, "payload": payload, "last": last}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("stage")
    (home / "stage.py").write_text(PROCESSOR)
    (home / "collator.toml").write_text(SETTINGS)
    for mode in ("text", "json"):
        (home / f"packets-{mode}.ndjson").write_text(json.dumps(packet(f"sent-{mode}")))
    with pytest.MonkeyPatch.context() as patch, receiving(home) as (_, inbox), serving(home, webhook=inbox) as (_, url):
        patch.chdir(home)
        asked = record(patch)
        with SyncClient(url) as client:
            prepare(client)
            webhook_id = client.resource("whole")["webhook_id"]
        (home / "mended").touch()
        assert run(["backup", "copy"]) == Exit.OK
        asked.clear()  # from here on only commands ask
        yield Stage(url, webhook_id, asked)


def record(patch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Note what every client asks."""
    asked: set[tuple[str, str]] = set()
    request = HttpConnection.request

    async def recorded(self: HttpConnection, method: str, path: str, body: bytes | None = None) -> Response:
        asked.add((method, path.partition("?")[0]))
        return await request(self, method, path, body)

    patch.setattr(HttpConnection, "request", recorded)
    return asked


def prepare(client: SyncClient) -> None:
    modes = ("text", "json", "former-text", "former-json")
    opened = [f"{what}-{mode}" for what in ("open-complete", "open-cancel", "gone") for mode in modes]
    client.send([packet(name) for name in opened])
    client.send([packet(f"failing-{mode}", "fails", last=True) for mode in modes])
    client.send([packet("whole"), packet("whole", last=True) | {"index": 1}, packet("busy", last=True)])
    for mode in modes:
        client.cancel(f"gone-{mode}")
    until_sync(lambda: all(client.resource(f"failing-{mode}")["failed"] for mode in modes))
    until_sync(lambda: client.resource("busy")["state"] == "collated")
    until_sync(lambda: client.deliveries(resource_id="whole", state="delivered")["deliveries"])


def said(capsys: pytest.CaptureFixture[str], arguments: list[str], code: Exit = Exit.OK) -> str:
    capsys.readouterr()
    ended = run(arguments)
    out, err = capsys.readouterr()
    assert ended == code, err
    return out


def test_no_command_is_forgotten_here() -> None:
    assert {*TYPED} == {*CASES, *RUN_UNTIL_STOPPED, *TOLD_ELSEWHERE}
    assert {*ALIASES} == {*FORMER, "torture"}
    for name, file in TOLD_ELSEWHERE.items():
        assert f'"{name}"' in (Path(__file__).parent / f"{file}.py").read_text()


@pytest.mark.parametrize("name", TYPED)
def test_every_command_that_prints_data_prints_json(name: str) -> None:
    flags = {flag for param in TYPED[name].params for flag in param.opts}
    assert "--json" in flags or name in {*RUN_UNTIL_STOPPED, "demo"}


@pytest.mark.parametrize("line", [*CASES.values(), *FORMER.values(), *FORMER_FORMS])
def test_a_command_tells_people_and_programs(stage: Stage, capsys: pytest.CaptureFixture[str], line: str) -> None:
    text = said(capsys, stage.arguments(line, "text"))
    assert text.strip()
    answer = json.loads(said(capsys, [*stage.arguments(line, "json"), "--json"]))
    assert isinstance(answer, dict)


def test_a_name_of_before_says_and_takes_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ALIASES:
        alias = cli.commands[name]
        helped = said(capsys, [name, "--help"])
        path = next(path for path, command in TYPED.items() if command.callback is alias.callback)
        assert helped.partition("\n")[2] == said(capsys, [*path.split(), "--help"]).partition("\n")[2]
        assert alias.hidden


def test_without_a_verb_the_kind_of_thing_is_listed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    url = ["--url", stage.url, "--json"]  # a table has ages
    with SyncClient(stage.url) as client:
        until_sync(lambda: not client.deliveries(endpoint="default", state="due")["deliveries"])  # nothing changes now
    for former, line in (
        (["resources", "--prefix", "whole", *url], ["resources", "list", "--prefix", "whole", *url]),
        (["endpoints", *url], ["endpoints", "list", *url]),
        (["deliveries", *url, "--state", "delivered"], ["deliveries", "list", "--state", "delivered", *url]),
        (["deliveries", *url, f"{stage.delivery}:default"], ["deliveries", "show", f"{stage.delivery}:default", *url]),
    ):
        told = (re.sub(r'("next_try_in": )[\d.]+', r"\1…", said(capsys, one)) for one in (former, line))
        assert next(told) == next(told)


def test_what_people_are_told_is_what_there_is(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(rf"^{stage.url}  ready ", said(capsys, ["status", "--url", stage.url]))
    listed = said(capsys, stage.arguments("resources list --prefix whole", "text"))
    assert re.fullmatch(r"ID +STATE +TOTAL .*\nwhole +collated +2 +2 +2 +0 .*\n", listed)
    assert said(capsys, stage.arguments("resources outputs whole", "text")) == '"x"\n"x"\n'
    assert said(capsys, stage.arguments("follow whole", "text")) == '"x"\n"x"\n'
    lines = said(capsys, stage.arguments("follow whole --after-seq 1 --json", "text")).splitlines()
    assert [(outcome["seq"], outcome["output"]) for outcome in map(json.loads, lines)] == [(2, "x")]
    empty = said(capsys, stage.arguments("resources complete empty --total 0", "text"))
    assert empty.startswith("empty  collated (total)\n  packets     0 of 0 received, 0 processed, 0 failed\n")
    page = said(capsys, stage.arguments("resources list --limit 1", "text"))
    assert re.search(r"… and more: --cursor \S+$", page)
    one = said(capsys, stage.arguments("deliveries show {delivery}:default", "text"))
    assert re.search(r"^  attempt     1 at \S+, \S+ s: delivered, HTTP 204$", one, re.MULTILINE)
    away = said(capsys, stage.arguments("deliveries give-up {delivery}:away", "text"))
    assert away.startswith(f"{stage.delivery}:away  dead\n  resource    whole\n")
    assert said(capsys, stage.arguments("deliveries replay {delivery}:away", "text")).startswith(
        f"{stage.delivery}:away  due\n"
    )
    line = "resources retry --completed-by failure --since 2026-11-24 --dry-run"
    assert said(capsys, stage.arguments(line, "text")) == "0 packets of 0 resources would be tried again\n"
    paused = said(capsys, stage.arguments("endpoints pause away", "text"))
    assert re.match(r"away  paused\n  nothing is sent: paused since \S+, until it is resumed \(by a person\)\n", paused)
    assert re.search(
        r"^away +paused +paused since \S+, ", said(capsys, ["endpoints", "list", "--url", stage.url]), re.MULTILINE
    )
    assert "  attention   away: paused since " in said(capsys, ["status", "--url", stage.url])
    assert "  attention   away: " in said(capsys, ["status", "--check", "--url", stage.url], Exit.ATTENTION)
    tested = said(capsys, ["endpoints", "test", "away", "--url", stage.url], Exit.FAILED)
    assert re.match(
        r"away  not accepted\n  webhook     msg_\w+\n  answer      connection refused, after \S+ s\n", tested
    )
    tested = said(capsys, ["endpoints", "test", "default", "--url", stage.url])
    assert re.match(r"default  accepted\n  webhook     msg_\w+\n  answer      HTTP 204, after \S+ s\n", tested)
    assert re.match(
        r"away  (sent to|breaker open)\n", said(capsys, ["endpoints", "resume", "away", "--url", stage.url])
    )
    replayed = said(
        capsys, stage.arguments("deliveries replay --endpoint default --resource whole --state delivered", "text")
    )
    assert replayed == "1 webhook will be sent again\n"


def test_every_view_and_repair_of_the_api_has_its_command(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    for line in (*CASES.values(), "deliveries replay {delivery}:default"):
        capsys.readouterr()
        run(stage.arguments(line, "text"))
    forms = {route.name: (route.method, re.sub(r"\{\w+\}", "[^/]+", route.path)) for route in ROUTES}
    unasked = {
        name
        for name, (method, path) in forms.items()
        if not any(method == how and re.fullmatch(path, where) for how, where in stage.asked)
    }
    assert unasked == {*FOR_PROGRAMS}


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("resources show nobody", Exit.UNKNOWN, "nobody"),
        ("resources outputs nobody", Exit.UNKNOWN, "nobody"),
        ("resources purge open-complete-text", Exit.CONFLICT, "first"),
        ("resources purge busy", Exit.CONFLICT, "give it up first"),
        ("resources complete whole --total 7", Exit.CONFLICT, "7"),
        ("resources cancel whole", Exit.CONFLICT, "cannot be cancelled"),
        ("deliveries show msg_x:default", Exit.UNKNOWN, "msg_x"),
        ("endpoints pause nobody", Exit.UNKNOWN, "there is no endpoint 'nobody'; there are: away, default"),
        ("deliveries replay --resource nobody", Exit.UNKNOWN, "nobody"),
        ("deliveries list --since monday", Exit.USAGE, "write 2026-11-24T02:05:00Z, or 2026-11-24"),
        ("deliveries list --since 2026-11-24T02:05:00", Exit.USAGE, "not a time"),
        ("deliveries replay --since 2026-13-01", Exit.USAGE, "not a time"),
        ("deliveries msg_x:default", Exit.UNKNOWN, "msg_x"),
        ("deliveries msg_x:default --state dead", Exit.USAGE, "No such option '--state'"),
        ("deliveries ''", Exit.USAGE, "it is empty"),
        ("deliveries shwo", Exit.USAGE, "No such command 'shwo'. Did you mean 'show'?"),
        ("resources call-17", Exit.USAGE, "No such command 'call-17'"),
        ("resources --state open call-17", Exit.USAGE, "unexpected extra argument"),
        ("deliveries replay msg_x:default --state dead", Exit.USAGE, "exclude each other"),
        *((f"{name} ''", Exit.USAGE, "it is empty") for name in BY_ID),
        ("deliveries replay --resource ''", Exit.USAGE, "'--resource': it is empty"),
        ("deliveries replay --prefix ''", Exit.USAGE, "'--prefix': it is empty"),
        ("deliveries replay --endpoint ''", Exit.USAGE, "'--endpoint': it is empty"),
        ("follow whole --after-seq x", Exit.USAGE, "--after-seq"),
        ("token ' '", Exit.USAGE, "the name is empty"),
        ("secret show --data-dir nowhere", Exit.CONFIG, "webhook.secret: No such file"),
        ("secret show --endpoint crm", Exit.CONFIG, "--endpoint crm: the settings have only default, away"),
        ("resources complete whole", Exit.USAGE, "either --total N or --force"),
        ("deliveries replay", Exit.USAGE, "select with"),
        ("check", Exit.OCCUPIED, "another process"),
        ("check --data-dir nowhere", Exit.CONFIG, "no database"),
        ("backup . --data-dir nowhere", Exit.CONFIG, "no database"),
        ("resources show whole --token-file gone", Exit.CONFIG, "/gone: cannot be read"),
        ("resources show whole --token-file collator.toml", Exit.CONFIG, "exactly one token"),
    ],
)
def test_a_refusal_is_told_in_words_with_a_code_of_its_own(
    stage: Stage, capsys: pytest.CaptureFixture[str], line: str, code: Exit, words: str
) -> None:
    capsys.readouterr()
    assert run(stage.arguments(line, "text")) == code
    out, err = capsys.readouterr()
    assert (out, err.startswith("collator: "), words in err) == ("", True, True), err


def test_a_copy_of_a_running_service_can_be_served(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, ["backup", "served"])
    with serving(Path.cwd(), "--data-dir", "served", webhook="http://127.0.0.1:1/") as (copy, url):
        report = json.loads(said(capsys, ["resources", "show", "whole", "--url", url, "--json"]))
        assert (report["webhook_id"], report["done"]) == (stage.delivery, 2)
        copy.stop()
    assert said(capsys, ["check", "--data-dir", "served"]).endswith("\nsound\n")


def test_a_token_from_a_file_opens_the_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for role in ("send", "admin"):
        line = ["token", role, "--role", role, "--add-to", str(tmp_path / "tokens")]
        (tmp_path / role).write_text(said(capsys, line))
    with serving(tmp_path, "--tokens-file", "tokens") as (_, url):
        (tmp_path / "packets").write_text(json.dumps(packet("a", "one two", last=True)))
        send = ["send", str(tmp_path / "packets"), "--no-wait", "--url", url, "--patience", "1s"]
        asked = ["resources", "outputs", "a", "--url", url]
        said(capsys, send, Exit.DENIED)
        assert run(asked) == Exit.DENIED
        assert "\nUse a token that allows it: --token-file FILE\n" in capsys.readouterr().err
        said(capsys, [*send, "--token-file", str(tmp_path / "send")])
        said(capsys, asked, Exit.DENIED)
        said(capsys, [*asked, "--token-file", str(tmp_path / "send")], Exit.DENIED)
        mine = [*asked, "--token-file", str(tmp_path / "admin")]
        until_sync(lambda: said(capsys, mine) == "[3,3]\n")
