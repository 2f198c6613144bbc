"""`collator try`: one payload through the processor, for a person and for a program."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from collator import workers
from collator.cli.exits import Exit
from collator.cli.main import run
from collator.settings import OPTIONS, variable
from tests.receiver import Close, Receiver, reply

JSON = "content-type: application/json"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    for name in OPTIONS:
        monkeypatch.delenv(variable(name), raising=False)
    return tmp_path


def write(directory: Path, text: str) -> None:
    (directory / "mine.py").write_text(text, "utf-8")


async def tried(receiver: Receiver, *arguments: str) -> int:
    """The exit code of a try of the service *receiver*, in a thread, as it has an event loop of its own."""
    return await asyncio.to_thread(run, ["try", "--processor", receiver.url, *arguments])


# A function.


def test_the_output_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["try", '"the quick brown fox"']) == Exit.OK
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("collator.processor:word_lengths, ")
    assert second == "output: [3,5,5,3]"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0000645, "0.0645 ms"), (0.0123, "12.3 ms"), (1.25, "1.2 s"), (12345.6, "12345.6 s")]
)
def test_the_time_of_a_call_has_no_exponent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seconds: float, words: str
) -> None:
    try_out = workers.try_out
    monkeypatch.setattr(workers, "try_out", lambda *given: try_out(*given)._replace(seconds=seconds))
    assert run(["try", '"fox"']) == Exit.OK
    assert capsys.readouterr().out.splitlines()[0] == f"collator.processor:word_lengths, {words}"


def test_a_function_that_raises_is_told_with_the_frames_of_its_own_code(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        here, "def outer(payload):\n    return inner(payload)\n\n\ndef inner(payload):\n    return payload['sound']\n"
    )
    assert run(["try", "--processor", "mine:outer", '{"text": 1}']) == Exit.FAILED
    told = capsys.readouterr().out
    assert 'mine.py", line 2, in outer' in told
    assert 'mine.py", line 6, in inner' in told
    assert "collator/processor" not in told
    assert told.splitlines()[-2:] == [
        "failed: KeyError: 'sound' (mine.py, line 6, in inner)",
        "The service would try again, up to 3 times.",
    ]


def test_what_no_attempt_can_mend_is_not_said_to_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["try", "5"]) == Exit.FAILED
    assert capsys.readouterr().out.splitlines()[1:] == ["failed: the payload is not text"]


@pytest.mark.parametrize(
    "text",
    [
        "import time\n\ndef slow(payload):\n    time.sleep(0.05)\n",
        "import asyncio\n\nasync def slow(payload):\n    await asyncio.sleep(60)\n",
    ],
)
def test_a_call_that_takes_too_long_has_failed(here: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    write(here, text)
    assert run(["try", "--processor", "mine:slow", "--processor-timeout", "10ms", "5"]) == Exit.FAILED
    assert "failed: timed out after 0.01 s" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_batch_of_one_gets_the_packet_that_is_told(here: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    write(here, f"{kind} ids(payloads, context):\n    return [[one.resource_id, one.index] for one in context]\n")
    told = ["--processor", "mine:ids", "--batch", "5", "--resource-id", "call-17", "--index", "3"]
    assert run(["try", *told, "null"]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[-1] == 'output: ["call-17",3]'


def test_a_function_of_a_process_is_called_here(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "collator.toml").write_text('processor = "mine:pid"\npool = "process"\npool_memory = "1GiB"\n')
    write(here, "import os\n\ndef pid(payload):\n    return os.getpid()\n")
    import os

    assert run(["try", "null"]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[-1] == f"output: {os.getpid()}"


def test_a_processor_that_is_not_there_is_a_wrong_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["try", "--processor", "nowhere:function", "5"]) == Exit.CONFIG
    assert "cannot import nowhere" in capsys.readouterr().err


def test_ctrl_c_ends_it(here: Path) -> None:
    write(here, "def stop(payload):\n    raise KeyboardInterrupt\n")
    assert run(["try", "--processor", "mine:stop", "5"]) == Exit.INTERRUPTED


# The payload.


def test_the_payload_comes_from_a_file_or_from_a_pipe(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "payload.json").write_text('\n"a bb"\n')
    assert run(["try", "@payload.json"]) == Exit.OK
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b' "a bb"\n')))
    assert run(["try", "-"]) == Exit.OK
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("output")] == ["output: [1,2]"] * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["hello"], "payload: JSON is malformed: invalid character (byte 0); a text needs its quotes"),
        ([""], "it is empty"),
        (["@nothing"], "nothing cannot be read: No such file or directory"),
        (["--max-payload", "4", '"hello"'], "payload: more than 4 bytes (max_payload)"),
        (["--metadata", "[]", "5"], "metadata: "),
        (["--resource-id", "\n", "5"], "resource_id: control characters are not allowed"),
        ([], "Missing argument 'PAYLOAD'"),
    ],
)
def test_what_can_be_no_packet_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run(["try", *arguments]) == Exit.USAGE
    assert told in capsys.readouterr().err


# A service.


async def test_a_service_is_shown_with_what_was_sent_and_what_it_answered(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "headers").write_text("X-API-Key: NEVERSHOWN\n")
    (here / "headers").chmod(0o600)
    shape = ["--processor-request", '{"text": "{{payload}}", "by": "{{metadata/by}}"}', "--processor-output", "/out"]
    async with Receiver(reply(200, JSON, body=b'{"out": "HELLO"}')) as receiver:
        code = await tried(
            receiver, *shape, "--processor-headers-file", "headers", "--metadata", '{"by": "me"}', '"hello"'
        )
    assert code == Exit.OK
    (request,) = receiver.requests
    assert request.headers["x-api-key"] == "NEVERSHOWN"
    told = capsys.readouterr().out
    assert "NEVERSHOWN" not in told
    lines = told.splitlines()
    assert lines[0] == f"POST {receiver.url}"
    assert "  x-api-key: ***" in lines
    assert "  collator-resource-id: try" in lines
    assert '  {"text": "hello", "by": "me"}' in lines
    assert lines[-3].startswith("HTTP 200, application/json, 16 bytes, after ")
    assert lines[-2:] == ['  {"out": "HELLO"}', 'output: "HELLO"']


async def test_a_warning_is_no_part_of_what_a_program_gets(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "headers").write_text("X-API-Key: NEVERSHOWN\n")
    (here / "headers").chmod(0o644)
    async with Receiver(reply(200, JSON, body=b"1")) as receiver:
        assert await tried(receiver, "--processor-headers-file", "headers", "--json", "5") == Exit.OK
    assert json.loads(capsys.readouterr().out)["request"]["headers"]["x-api-key"] == "***"


async def test_no_earlier_try_had_its_idempotency_key() -> None:
    async with Receiver(reply(200, JSON, body=b"1")) as receiver:
        assert [await tried(receiver, "5") for _ in range(2)] == [Exit.OK, Exit.OK]
    first, second = receiver.requests
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


async def test_a_failure_is_shown_with_what_the_service_said(capsys: pytest.CaptureFixture[str]) -> None:
    async with Receiver(reply(422, JSON, body=b'{"detail": "\x1b[31mno sound"}')) as receiver:
        assert await tried(receiver, "--processor-output", "/a", "5") == Exit.FAILED
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "HTTP 422" in told
    assert told.splitlines()[-1].startswith("failed: HTTP 422: ")


async def test_a_pointer_that_finds_nothing_is_shown_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    async with Receiver(reply(200, JSON, body=b'{"result": 1}')) as receiver:
        assert await tried(receiver, "--processor-output", "/output", "5") == Exit.FAILED
    told = capsys.readouterr().out
    assert '  {"result": 1}\n' in told
    assert "failed: output: the answer has nothing at /output: the answer is an object with 'result'" in told


async def test_no_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with Receiver((Close(),)) as receiver:
        assert await tried(receiver, "5") == Exit.FAILED
    told = capsys.readouterr().out
    assert "connection closed before the answer, after " in told
    assert told.endswith("The service would keep the packet, and try again: this is no failed attempt.\n")


async def test_a_long_body_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    async with Receiver(reply(200, JSON, body=b'"' + b"x" * 9_000 + b'"')) as receiver:
        assert await tried(receiver, json.dumps("y" * 9_000)) == Exit.OK
    assert max(map(len, capsys.readouterr().out.splitlines())) < 2_100


async def test_what_the_address_has_of_secrets_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    async with Receiver(reply(200, JSON, body=b"1")) as receiver:
        url = receiver.url.replace("http://", "http://me:NEVERSHOWN@") + "?key=NEVERSHOWN"
        assert await asyncio.to_thread(run, ["try", "--processor", url, "5"]) == Exit.OK
        assert await asyncio.to_thread(run, ["try", "--processor", url, "--json", "5"]) == Exit.OK
    assert "NEVERSHOWN" not in capsys.readouterr().out


@pytest.mark.parametrize("status", [200, 401])
async def test_a_service_that_repeats_its_secrets_brings_them_on_no_screen(
    here: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    (here / "headers").write_text("Authorization: Bearer NEVERSHOWN\n")
    (here / "headers").chmod(0o600)
    async with Receiver(
        reply(status, JSON, body=b'{"token": "NEVERSHOWN", "query": "key=SHOWNNEVER&x=1"}')
    ) as receiver:
        url = receiver.url + "?key=SHOWNNEVER&x=1"
        arguments = ["try", "--processor", url, "--processor-headers-file", "headers", "5"]
        await asyncio.to_thread(run, arguments)
        told = capsys.readouterr().out
        await asyncio.to_thread(run, [*arguments, "--json"])
        shown = capsys.readouterr().out
    assert "NEV" not in told + shown
    assert '{"token": "***", "query": "***"}' in told
    assert f"HTTP {status}, application/json, 54 bytes" in told or f"HTTP {status}, 54 bytes" in told


async def test_a_program_gets_all_of_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    async with Receiver(reply(200, JSON, body=b'{"out": 1e2}'), reply(503, body=b"busy")) as receiver:
        assert await tried(receiver, "--json", "--processor-output", "/out", "5") == Exit.OK
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert await tried(receiver, "--json", "--processor-output", "/out", "5") == Exit.FAILED
        failed = json.loads(capsys.readouterr().out)
    assert told["request"]["method"] == "POST"
    assert (told["request"]["body"], told["request"]["headers"]["collator-attempt"]) == ("5", "1")
    assert told["answer"] == {"told": "HTTP 200, application/json, 12 bytes", "body": '{"out": 1e2}'}
    assert (told["output"], told["reason"], told["repeated"], told["traceback"]) == (1e2, None, False, None)
    assert (failed["output"], failed["reason"], failed["repeated"]) == (None, "HTTP 503: busy", True)
