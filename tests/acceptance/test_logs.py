"""What a service logs: one event a line in the form key=value, without a payload, a secret or a token in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from collator.tokens import Role, generate_token, line_for
from tests.acceptance.programs import environment
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.wait import until

VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^\s"=]*)'
LINE = re.compile(rf"timestamp=\S+ level=(\w+) event=({VALUE})((?: [a-z_]+={VALUE})*)")
PAYLOAD = "geheim4711"
ODD = ["plain", 'a "quoted" id', "back\\slash", "key=value", "ümläut ☃", "level=critical event=forged", "%0a%0d"]


def assert_events(log: str) -> dict[str, int]:
    """Every line is an event; how often there is which."""
    assert log.endswith("\n")
    events: dict[str, int] = {}
    for line in log[:-1].split("\n"):
        found = LINE.fullmatch(line)
        assert found is not None, line
        assert line.isprintable(), repr(line)
        events[found[2].strip('"')] = events.get(found[2].strip('"'), 0) + 1
    return events


async def test_each_line_is_an_event_without_payload_secret_or_token(tmp_path: Path) -> None:
    token = generate_token()
    (tmp_path / "tokens").write_text(line_for(token, roles=[*Role], name="tester") + "\n")
    async with (
        ServiceProcess(
            tmp_path, tokens_file=tmp_path / "tokens", processor="tests.harness.processors:quoting"
        ) as service,
        Sink(service.secret, answers=[404, 500]) as sink,
        aiohttp.ClientSession() as session,
    ):
        await service.start(webhook=sink.url, processor_retries=0, processor_timeout=0.3)

        async def post(body: bytes, given: str = token) -> int:
            headers = {"content-type": "application/json", "authorization": f"Bearer {given}"}
            async with session.post(f"{service.url}/v1/packets", data=body, headers=headers) as answer:
                return answer.status

        payloads = [*(f"{PAYLOAD} {number}" for number, _ in enumerate(ODD)), f"hang {PAYLOAD}"]
        for resource_id, payload in zip([*ODD, 'hangs "here"'], payloads, strict=True):
            packet = {"resource_id": resource_id, "index": 0, "payload": payload, "last": True}
            assert await post(json.dumps(packet).encode()) == 202
        assert await post(b'{"resource_id": "broken", "payload": "' + PAYLOAD.encode()) == 422
        assert await post(b"{}", given="another" + token) == 401
        await until(lambda: len(sink.webhooks) >= len(payloads), 15.0)
        await until(lambda: "deliveries fail" in service.log())
        await service.stop()
    log = service.log()
    events = assert_events(log)
    assert {"serving", "stopping", "stopped", "attempts failed", "deliveries fail"} <= {*events}
    assert "processor call timed out and still runs" in events
    assert re.search(r'event="attempts failed" final=1 .*resource_id=.+ index=0$', log, re.MULTILINE)
    secret = service.secret.read_text().split("whsec_")[1].split()[0]
    assert [word for word in (PAYLOAD, secret, token, token[-16:]) if word in log] == []


PROGRAM = """
import logging, warnings, structlog
from collator import logs
logs.configure(*ARGUMENTS)
log = structlog.get_logger("test")
log.info("begun")
log.warning("odd", reason='a "quoted" \\x1b[31m red\\r\\nsecond = line\\u2028third', path="C:\\\\new", nothing=None)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("defect")
    logging.getLogger("asyncio").exception("Task was\\nnever retrieved")
logging.getLogger("aiohttp.access").info("nobody wants to know")
warnings.warn("this is old")
"""


def logged(tmp_path: Path, **arguments: str) -> str:
    """What a program logs, of itself and of its libraries."""
    program = PROGRAM.replace("*ARGUMENTS", ", ".join(f"{name}={value!r}" for name, value in arguments.items()))
    command = [sys.executable, "-W", "default", "-c", program]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, check=True, timeout=30)
    return done.stderr.decode()


def test_what_others_log_and_what_terminals_obey_is_one_line_too(tmp_path: Path) -> None:
    log = logged(tmp_path)
    events = assert_events(log)
    told = ["begun", "odd", "defect", r"Task was\nnever retrieved", "this is old"]
    assert all(words in event for words, event in zip(told, events, strict=True)), events
    assert r'reason="a \"quoted\" \\x1b[31m red\\r\nsecond = line\\u2028third" path=C:\new nothing=' in log
    assert log.count("ZeroDivisionError: division by zero") == 2


def test_a_log_in_json_has_an_object_a_line_with_the_same_fields(tmp_path: Path) -> None:
    lines = logged(tmp_path, log_format="json").splitlines()
    begun, odd, defect, retrieved, old = map(json.loads, lines)
    assert all(line.isprintable() for line in lines)
    assert begun.keys() == {"timestamp", "level", "event"}
    assert begun["timestamp"].endswith("Z")
    assert odd["reason"] == 'a "quoted" \\x1b[31m red\\r\nsecond = line\\u2028third'
    assert (odd["level"], odd["path"], odd["nothing"]) == ("warning", "C:\\new", None)
    assert defect["exception"].endswith("ZeroDivisionError: division by zero")
    assert (retrieved["level"], retrieved["logger"]) == ("error", "asyncio")
    assert "this is old" in old["event"]


@pytest.mark.parametrize(("level", "number"), [("info", 5), ("warning", 4), ("error", 2)])
def test_a_log_has_the_events_from_its_level_on(tmp_path: Path, level: str, number: int) -> None:
    assert len(assert_events(logged(tmp_path, level=level))) == number


async def test_a_service_logs_as_its_settings_say(tmp_path: Path) -> None:
    async with ServiceProcess(tmp_path) as service:
        await service.start(log_format="json")
        async with aiohttp.ClientSession() as session, session.post(f"{service.url}/v1/packets", data=b"{") as answer:
            assert answer.status == 415
        await service.stop()
    events = {event["event"]: event for event in map(json.loads, service.log().splitlines())}
    assert events["serving"]["level"] == "info"
    assert (events["request refused"]["level"], events["request refused"]["status"]) == ("warning", 415)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_lines_that_were_lost_stay_counted_while_a_program_redirects_what_it_prints() -> None:
    program = (
        "import contextlib, io, os, sys; from collator import logs; logs.configure(); import structlog\n"
        "structlog.get_logger().warning('nobody hears this'); logs.flush(20); before = logs.lost_lines()\n"
        "with contextlib.redirect_stderr(io.StringIO()): print(before, logs.lost_lines())\n"
        "logs.flush(20); os._exit(0)"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=full,
            check=True,
            timeout=30,
        )
    assert done.stdout == b"1 1\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_log_that_cannot_be_written_costs_its_lines_and_nothing_else() -> None:
    program = (
        "import logging; from collator import logs; logs.configure(); import structlog\n"
        "for _ in range(5000): structlog.get_logger().warning('nobody hears this')\n"
        "logging.getLogger('other').error('nor this'); print('alive', flush=True)\n"
        # Without the flush of the interpreter, which is the business of the command line.
        "import os; logs.flush(20); os._exit(0)"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=full,
            check=True,
            timeout=30,
        )
    assert done.stdout == b"alive\n"
