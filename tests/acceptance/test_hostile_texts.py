"""Nothing that others wrote is obeyed by a terminal: every command, whatever the service answers, whatever is typed."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import collator.cli
from collator.cli.main import listed, run
from collator.cli.manual import verbs
from collator.cli.terminal import print_data, print_json, print_lines
from collator.cli.webhook_file import file_for
from collator.client.answer import Response
from collator.client.connection import HttpConnection
from collator.client.sync import SyncClient
from collator.text import escaped_json
from tests.acceptance.programs import serving
from tests.acceptance.test_commands import CASES, TYPED, Stage, stage
from tests.unit.test_text import HOSTILE

__all__ = ["stage"]

WIRE = HOSTILE.encode("utf-8", "ignore").decode()
"""As it can be in an answer: no half of a pair."""
PRINTS_ITSELF = {"terminal.py", "main.py", "manual.py", "__init__.py"}
"""Files of the commands that print: the one place; and what prints nothing of others (help)."""
ASKING = [name for name in CASES if name != "config" and any("--url" in one.opts for one in TYPED[name].params)]


def assert_harmless(*outputs: str) -> None:
    for output in outputs:
        assert [line for line in output.split("\n") if not line.isprintable()] == []


def poisoned(value: Any) -> Any:  # noqa: ANN401 - JSON may be anything
    """*value* with something hostile behind each of its texts."""
    match value:
        case str():
            return value + WIRE
        case list():
            return [poisoned(one) for one in value]
        case dict():
            return {name: poisoned(one) for name, one in value.items()}
        case _:
            return value


def serve_poisoned(patch: pytest.MonkeyPatch, answers: list[Any]) -> None:
    request = HttpConnection.request

    async def asked(self: HttpConnection, method: str, path: str, body: bytes | None = None) -> Response:
        answer = await request(self, method, path, body)
        answers.append(poisoned(msgspec.json.decode(answer.body)))
        return answer._replace(body=msgspec.json.encode(answers[-1]), media_type=WIRE)

    patch.setattr(HttpConnection, "request", asked)


def refuse(patch: pytest.MonkeyPatch, status: int) -> None:
    said = {"type": WIRE, "title": WIRE, "status": status, "detail": WIRE * 10_000, "code": "malformed" + WIRE}

    async def asked(self: HttpConnection, method: str, path: str, body: bytes | None = None) -> Response:
        del self, method, path, body
        return Response(status, msgspec.json.encode(said), 0.0, WIRE)

    patch.setattr(HttpConnection, "request", asked)


@pytest.mark.parametrize("name", ASKING)
def test_whatever_the_service_answers_is_shown_with_escapes(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answers: list[Any] = []
    out, verb = "", name.rpartition(" ")[2]
    serve_poisoned(monkeypatch, answers)
    for mode in ("text", "json"):
        answers.clear()
        run([*stage.arguments(CASES[name], mode), *(["--json"] if mode == "json" else [])])
        out, err = capsys.readouterr()
        assert_harmless(out, err)
        assert answers
        assert r"\x1b[2J" in out + err or r"\u001b[2J" in out + err or verb in {"purge", "replay", "outputs", "retry"}
    if out.startswith("{") and len(answers) == 1 and verb not in {"send", "replay"}:  # which make one of their own
        assert [name for name, value in json.loads(out).items() if value != answers[0][name]] == []


@pytest.mark.parametrize("status", [404, 422])
@pytest.mark.parametrize("name", ASKING)
def test_whatever_a_refusal_says_is_short_and_shown_with_escapes(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    refuse(monkeypatch, status)
    assert run(stage.arguments(CASES[name], "text")) != 0
    out, err = capsys.readouterr()
    assert_harmless(out, err)
    assert len(err) < 5000


@pytest.mark.parametrize("name", [path for path, _ in verbs(listed())])
def test_whatever_is_typed_is_shown_with_escapes(capsys: pytest.CaptureFixture[str], name: str) -> None:
    typed = HOSTILE.replace("\x00", "").encode("utf-8", "ignore").decode()
    for arguments in ([f"--{typed}"], [typed, typed, typed], ["--config", f"x{typed}"]):
        assert run([*name.split(), *arguments]) != 0
        assert_harmless(*capsys.readouterr())
    assert run(f"{name}{typed}".split(" ", 1)) != 0
    assert_harmless(*capsys.readouterr())


def test_what_a_real_service_holds_is_shown_with_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resource_id = "call\u202e71-\u2028\u200b\ufeff\U000e0041"  # all of which an id may hold
    metadata = {"by\x1b[2J": WIRE}
    payload = f"{WIRE} fails"
    failing = ("--processor", "json:loads", "--processor-retries", "0")
    with serving(tmp_path, *failing) as (_, url), SyncClient(url) as client:
        packet = {"resource_id": resource_id, "index": 0, "payload": payload, "metadata": metadata, "last": True}
        client.send([packet])
        shown: Mapping[str, Any] = client.result(resource_id, timeout=30)
        for line in (
            ["resources", "list"],
            ["resources", "show", resource_id],
            ["deliveries", "list"],
            ["follow", resource_id],
        ):
            for json_too in ([], ["--json"]):
                run([*line, *json_too, "--url", url])
        out, err = capsys.readouterr()
        assert_harmless(out, err)
        assert r"call\u202e71-\u2028\u200b\ufeff\U000e0041" in out
        run(["resources", "show", resource_id, "--json", "--url", url])
        assert json.loads(capsys.readouterr().out)["metadata"] == metadata == shown["metadata"]


def test_nothing_else_in_the_commands_prints() -> None:
    files = [*Path(collator.cli.__file__).parent.rglob("*.py")]
    printing = {path.name for path in files if any(_prints(node) for node in ast.walk(ast.parse(path.read_text())))}
    assert printing <= {*PRINTS_ITSELF, "bare.py"}, "print by collator.cli.terminal"


def _prints(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return ast.unparse(node.func) in {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write"}


HIDDEN = "a\x7f\x85\x9b2J\xad\u061c\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\U000e0041\x1b\n z"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


def test_json_stays_the_same_value(said: pytest.CaptureFixture[str]) -> None:
    value = {HIDDEN: [HIDDEN, 1, None, {"b": "日本語 \U0001f600 \u0627\u200c\u0628"}]}
    for print_it in (print_json, print_data):
        print_it(value)
        out = said.readouterr().out
        assert json.loads(out) == value
        assert_harmless(out.replace("\u200c", ""))
        assert "日本語 \U0001f600" in out
    print_json(value, pretty=True)
    assert json.loads(said.readouterr().out) == value
    print_lines("a\nb\x1b", "c")
    assert said.readouterr().out == "a\\nb\\x1b\nc\n"


def test_joined_letters_of_an_output_stay_joined() -> None:
    assert escaped_json('"\u0646\u200c\u0647 \U0001f469\u200d\U0001f680"', joiners=True) == (
        '"\u0646\u200c\u0647 \U0001f469\u200d\U0001f680"'
    )


@pytest.mark.parametrize("kind", ["collated", "incomplete"])
def test_the_files_of_receive_hold_the_same_value_with_escapes(kind: str) -> None:
    output = {"text": HIDDEN, "日": "本"}
    data = {"resource_id": "call-17", "outputs": [output]}
    if kind == "incomplete":
        data = {"resource_id": "call-17", "partial": [output]}
    file = file_for(msgspec.json.encode({"type": f"resource.{kind}", "data": data}))
    text = b"".join(file.pieces).decode()
    assert_harmless(text)
    assert json.loads(text) == (output if kind == "collated" else data)
    assert "\\u0085" in text
    assert "日" in text
