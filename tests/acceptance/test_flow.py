"""From the sender to the file, with real processes: send, serve, receive and show together."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from collator.cli.children import free_port
from collator.cli.demo.checker import check
from collator.cli.exits import Exit
from collator.cli.packet_plan import Plan
from tests.acceptance.programs import (
    COMMAND,
    PATIENCE,
    assert_told,
    environment,
    files,
    receiving,
    run,
    running,
    serving,
)
from tests.harness.terminal import Terminal
from tests.wait import until_sync

SECRET = "whsec_" + "QUJD" * 10 + "\n"


def line(resource_id: str, index: int, payload: object = "two words", **more: object) -> bytes:
    """A packet as a line of a file."""
    return json.dumps({"resource_id": resource_id, "index": index, "payload": payload, **more}).encode() + b"\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service without an endpoint, for all tests that only look at what is sent; each has ids of its own."""
    with serving(tmp_path_factory.mktemp("service")) as (_, url):
        yield url


# Sending.


def test_what_is_sent_is_written_by_the_receiver(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with (
        receiving(tmp_path, "--secret-file", "secret") as (receiver, inbox),
        serving(tmp_path, "--webhook-secret-file", "secret", webhook=inbox) as (_, url),
    ):
        arguments = ("send", "--url", url, "--resources", "5", "--packets", "1-9", "--pause", "0", "--seed", "7")
        first, again = run(*arguments, cwd=tmp_path), run(*arguments, cwd=tmp_path)
        assert receiver.stop() == Exit.OK
    assert first.returncode == Exit.OK, first.stderr
    assert "5 delivered" in first.stdout.splitlines()[-1]
    assert again.returncode == Exit.OK, again.stderr
    assert "duplicates" in again.stdout.splitlines()[-1]
    assert files(tmp_path / "received") == [f"run-7-{number}.txt" for number in range(1, 6)]
    plan = Plan(seed=7, resources=5, packets=(1, 9))
    assert check(plan, tmp_path / "received") == []


def test_bad_lines_are_told_with_their_numbers_and_the_good_ones_are_sent(tmp_path: Path, url: str) -> None:
    text = line("a", 0) + b"\n" + b"{nonsense\n" + line("a", 1, last=True) + line("a", -1) + line("", 0)
    (tmp_path / "packets.ndjson").write_bytes(text)
    done = run("send", "packets.ndjson", "--url", url, cwd=tmp_path)
    assert done.returncode == Exit.FAILED
    told = [text.split(" ")[0] for text in done.stderr.splitlines() if text.startswith("packets.ndjson:")]
    assert told == ["packets.ndjson:3:", "packets.ndjson:5:", "packets.ndjson:6:"]
    assert "packet 0" not in done.stderr
    assert "5 packets of 1 resource: 2 acknowledged, 3 rejected" in done.stdout.splitlines()[-1]
    assert "2 of 2 received, 2 processed, 0 failed" in run("show", "a", "--url", url, cwd=tmp_path).stdout


def test_a_conflict_is_told(tmp_path: Path, url: str) -> None:
    text = line("b", 0) + line("b", 0, "other") + line("b", 1, last=True)
    done = run("send", "-", "--url", url, "--concurrency", "1", cwd=tmp_path, stdin=text)
    assert done.returncode == Exit.FAILED
    assert "<stdin>:2: conflict: index 0 is stored with another payload ('b', index 0)" in done.stderr


def test_lines_from_a_pipe_are_sent_as_they_come(tmp_path: Path, url: str) -> None:
    with running("send", "-", "--url", url, cwd=tmp_path, stdin=subprocess.PIPE) as sender:
        sender.write(line("c", 0))
        sender.says("acknowledged 1")
        assert run("show", "c", "--url", url, cwd=tmp_path).returncode == Exit.OK
        sender.write(line("c", 1, last=True), end=True)
        assert sender.process.wait(PATIENCE) == Exit.OK


def test_a_resource_that_lacks_packets_is_told_and_not_waited_for(tmp_path: Path, url: str) -> None:
    text = line("d", 0) + line("e", 0) + line("e", 2, last=True)
    waited = run("send", "-", "--url", url, cwd=tmp_path, stdin=text)
    not_waited = run("send", "-", "--url", url, "--no-wait", cwd=tmp_path, stdin=text)
    assert waited.returncode == Exit.FAILED
    assert "d is not delivered: its number of packets is unknown" in waited.stderr
    assert "e is not delivered: never received: index 1" in waited.stderr
    assert not_waited.returncode == Exit.OK


def test_a_service_that_is_not_there_ends_send_after_its_patience(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    done = run("send", "--url", url, "--resources", "1", "--patience", "1ms", cwd=tmp_path)
    assert done.returncode == Exit.UNREACHABLE
    assert done.stderr.startswith(f"collator: {url}: connection refused")
    assert re.search(r"^\d packets?: 0 acknowledged, \d not acknowledged", done.stdout, re.MULTILINE)


def test_send_tells_programs_in_json_and_people_in_lines(tmp_path: Path, url: str) -> None:
    arguments = ("send", "--url", url, "--resources", "2", "--packets", "3", "--pause", "0")
    in_json = run(*arguments, "--json", "--seed", "1", cwd=tmp_path)
    in_lines = run(*arguments, cwd=tmp_path)
    assert in_json.returncode == Exit.OK
    result = json.loads(in_json.stdout)
    assert result.pop("seconds") > 0
    numbers = {
        "seed": 1,
        "sent": 6,
        "acknowledged": 6,
        "duplicates": 0,
        "resources": 2,
        "processed": 6,
        "delivered": 2,
        "incomplete": 0,
    }
    assert result == numbers | {"rejected": [], "undelivered": {}, "why_incomplete": {}}
    assert in_lines.stdout.startswith("seed ")
    assert "\x1b" not in in_lines.stdout
    assert "6 packets of 2 resources: 6 acknowledged, 2 delivered" in in_lines.stdout.splitlines()[-1]


def test_send_shows_bars_in_a_terminal(tmp_path: Path, url: str) -> None:
    arguments = ("send", "--url", url, "--resources", "2", "--packets", "3", "--pause", "0", "--seed", "2")
    with Terminal([*COMMAND, *arguments], cwd=tmp_path, env=environment(), columns=100) as terminal:
        assert terminal.end(PATIENCE) == Exit.OK
    bars = [line.split() for line in terminal.screen.lines()[:-1]]
    assert [(bar[0], bar[-2]) for bar in bars] == [
        ("sent", "6/6"),
        ("acknowledged", "6/6"),
        ("processed", "6/6"),
        ("delivered", "2/2"),
    ]


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_bars_stay_whole_in_a_terminal_while_a_receiver_is_down(tmp_path: Path, columns: int) -> None:
    arguments = ("send", "--resources", "3", "--packets", "2", "--pause", "0", "--seed", "3")
    with (
        serving(tmp_path, "--breaker-failures", "1", webhook="http://127.0.0.1:1/") as (_, url),
        Terminal([*COMMAND, *arguments, "--url", url], cwd=tmp_path, env=environment(), columns=columns) as terminal,
    ):
        # Its reason changes with every frame, and some are longer than the terminal is wide.
        until_sync(lambda: shown(terminal, "run-3-") and shown(terminal, ": endpoint default: breaker open"), PATIENCE)
        until_sync(lambda: re.search(r"processed \S+ 6/6", "\n".join(terminal.screen.lines())), PATIENCE)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end(PATIENCE) == Exit.INTERRUPTED
    lines = terminal.screen.lines()
    bars = [line.split()[0] for line in lines if re.search(r"\d/\d", line)]
    assert bars == ["sent", "acknowledged", "processed", "delivered"], lines
    assert sum(line.startswith("run-3-") for line in lines) == 1 + 3, lines  # the last note, and one complaint each


def shown(terminal: Terminal, words: str) -> bool:
    return words in "".join(terminal.screen.lines())


# Why it does not go on, and how it ended.


def test_the_exit_code_says_that_packets_failed(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text("def fail(payload):\n    raise ValueError(f'no use for {payload}')\n")
    with serving(tmp_path, "--processor", "failing:fail", "--processor-retries", "0") as (_, url):
        arguments = ("send", "--url", url, "--resources", "2", "--packets", "1", "--pause", "0", "--seed", "4")
        done = run(*arguments, cwd=tmp_path)
        in_json = json.loads(run(*arguments, "--json", cwd=tmp_path).stdout)
    assert done.returncode == Exit.INCOMPLETE
    assert "2 delivered (2 incomplete)" in done.stdout.splitlines()[-1]
    assert "run-4-1 is incomplete: 1 packet failed, packet 0: ValueError: no use for" in done.stderr
    assert (in_json["processed"], in_json["incomplete"], [*in_json["why_incomplete"]]) == (2, 2, ["run-4-1", "run-4-2"])


def test_a_receiver_that_fails_is_told_at_once_and_ends_send_after_its_patience(tmp_path: Path) -> None:
    with serving(tmp_path, webhook="http://127.0.0.1:1/") as (_, url):
        done = run("send", "-", "--url", url, "--patience", "2s", cwd=tmp_path, stdin=line("r", 0, last=True))
    assert done.returncode == Exit.UNDELIVERED
    first, *_, why, hint = done.stderr.splitlines()
    told = r"r: endpoint default: (next attempt in \d s|being sent) after \d attempts? \(.*refused"
    assert re.match(f"collator: {told}", first), done.stderr
    assert re.match(told.replace(":", " is not delivered:", 1), why), done.stderr
    assert "nothing was delivered for 2 s" in hint
    assert "collator deliveries list --state due" in hint


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("arguments", [("send", "--resources", "1"), ("status",), ("show", "r")])
def test_a_service_that_does_not_answer_is_told_of_soon(tmp_path: Path, silent: str, arguments: Sequence[str]) -> None:
    with running(*arguments, "--url", silent, cwd=tmp_path) as command:
        command.says(rf"(?m)^collator: no answer from {silent} yet$")
        assert command.process.poll() is None


def test_why_it_does_not_go_on_is_told_on_standard_error_and_not_again_and_again(tmp_path: Path) -> None:
    arguments = ("send", "--url", "http://127.0.0.1:1", "--resources", "1", "--packets", "9", "--pause", "0")
    done = run(*arguments, "--patience", "4s", cwd=tmp_path)
    assert done.returncode == Exit.UNREACHABLE
    told = [line for line in done.stderr.splitlines() if line.startswith("collator: http://127.0.0.1:1: connection")]
    assert len(told) == 2  # the first time, and at the end
    assert "refused" not in done.stdout


def test_who_asks_finds_the_service_by_the_configuration_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "collator.toml").write_text(
        f"port = {free_port()}\nwebhook = 'none'\nhost = '0.0.0.0'\ninsecure = true"
    )
    with running("serve", cwd=tmp_path) as service:
        service.says("event=serving")
        sent = run("send", "-", cwd=tmp_path, stdin=line("r", 0, last=True))
        assert (sent.returncode, sent.stderr) == (Exit.OK, "")
        for arguments in ("status", "show r", "outputs r", "resources", "deliveries", "purge r"):
            assert run(*arguments.split(), cwd=tmp_path).returncode == Exit.OK, arguments
    elsewhere = run("status", cwd=tmp_path, env={"COLLATOR_PORT": "1"})
    assert_told(elsewhere, Exit.UNREACHABLE, "http://127.0.0.1:1: connection refused")
    assert_told(run("status", cwd=tmp_path, env={"COLLATOR_PORT": "0"}), Exit.CONFIG, "--url")


def test_an_interrupted_send_says_how_far_it_came(tmp_path: Path, url: str) -> None:
    with running("send", "-", "--url", url, cwd=tmp_path, stdin=subprocess.PIPE) as sender:
        sender.write(line("f", 0))
        sender.says("acknowledged 1")
        assert sender.stop(signal.SIGINT) == Exit.INTERRUPTED
    assert "interrupted; acknowledged packets are stored" in sender.output()
    assert "1 packet of 1 resource: 1 acknowledged" in sender.output()
    assert "Traceback" not in sender.output()


def test_an_interrupted_send_that_reached_nobody_promises_nothing(tmp_path: Path) -> None:
    with running("send", "--url", "http://127.0.0.1:1", "--resources", "1", cwd=tmp_path) as sender:
        sender.says("connection refused")
        assert sender.stop(signal.SIGINT) == Exit.INTERRUPTED
    assert "interrupted; nothing was acknowledged" in sender.output()


# Receiving.


def post(url: str, body: bytes) -> int:
    fields = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=fields, method="POST")  # noqa: S310 - this test's receiver
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - same
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)


def test_a_receiver_takes_no_webhook_that_its_secret_did_not_sign(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with receiving(tmp_path, "--secret-file", "secret") as (receiver, inbox):
        assert post(inbox, b'{"type":"resource.collated","data":{"resource_id":"r","outputs":[]}}') == 401
        receiver.says("(?m)^refused: a request without a webhook-id: webhook-id is missing$")
    assert list((tmp_path / "received").iterdir()) == []


def test_a_receiver_without_a_secret_says_that_nothing_is_verified(tmp_path: Path) -> None:
    with running("receive", "--port", "0", cwd=tmp_path, env={"COLLATOR_RECEIVE_DIR": "elsewhere"}) as receiver:
        inbox = receiver.says(r"receiving at (\S+) into elsewhere; signatures are not verified")[1]
        receiver.says(
            "(?m)^warning: everyone who can reach this port can write files: set a secret with --secret-file$"
        )
        body = b'{"type":"resource.collated","data":{"resource_id":"a/b","outputs":[1, {"x": [2]}]}}'
        assert [post(inbox, body), post(inbox, body), post(inbox, b"hello")] == [204, 204, 400]
    assert [(path.name, path.read_text()) for path in (tmp_path / "elsewhere").iterdir()] == [
        ("a%2fb.txt", '1\n{"x": [2]}\n')
    ]


def test_a_webhook_whose_file_cannot_be_written_is_not_received(tmp_path: Path) -> None:
    with receiving(tmp_path) as (receiver, inbox):
        (tmp_path / "received").rmdir()
        assert post(inbox, b'{"type":"resource.collated","data":{"resource_id":"r","outputs":[]}}') == 503
        receiver.says("cannot write received/r.txt: No such file or directory")
        (tmp_path / "received").mkdir()
        assert post(inbox, b'{"type":"resource.collated","data":{"resource_id":"r","outputs":[]}}') == 204
    assert files(tmp_path / "received") == ["r.txt"]


# Showing.


def test_show_tells_what_is_missing_and_why_it_is_not_delivered(tmp_path: Path, url: str) -> None:
    run("send", "-", "--url", url, cwd=tmp_path, stdin=line("call/17 ü", 0) + line("call/17 ü", 4, last=True))
    shown = run("show", "call/17 ü", "--url", url, cwd=tmp_path)
    in_json = run("show", "call/17 ü", "--url", url, "--json", cwd=tmp_path)
    assert (shown.returncode, in_json.returncode) == (Exit.OK, Exit.OK)
    told = ("call/17 ü  open", "2 of 5 received, 2 processed", "missing     1-3", "never received: index 1")
    assert [part for part in told if part not in shown.stdout] == [], shown.stdout
    report = json.loads(in_json.stdout)
    assert (report["state"], report["missing"], report["total"]) == ("open", [[1, 3]], 5)
    assert_told(run("show", "nobody", "--url", url, cwd=tmp_path), Exit.UNKNOWN, "HTTP 404")
