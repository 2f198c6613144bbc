"""Many endpoints out of a file, with real processes: who gets what, signed with what, and what is left of one."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import standardwebhooks

from collator.signing import generate_secret
from tests.acceptance.programs import Program, running
from tests.receiver import Receiver, Request, reply
from tests.wait import until


def serving(cwd: Path) -> Any:  # noqa: ANN401 - a context manager of a program
    return running("serve", "--port", "0", cwd=cwd)  # with the file that is there


def url_of(program: Program) -> str:
    return program.says(r"event=serving url=(\S+)")[1]


def ask(url: str, body: object = None) -> Any:  # noqa: ANN401 - JSON may be anything
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def resources(receiver: Receiver) -> list[str]:
    """Whose webhooks it got."""
    return sorted(json.loads(request.body)["data"]["resource_id"] for request in receiver.requests)


def verified(request: Request, secret: str) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


async def test_r20_r21_each_endpoint_of_the_file_gets_what_matches_signed_with_its_own_secret(tmp_path: Path) -> None:
    own = generate_secret()
    (tmp_path / "calls.secret").write_text(own)
    async with Receiver() as calls, Receiver() as everything:
        (tmp_path / "collator.toml").write_text(
            f"""
            [endpoints.calls]
            url = "{calls.url}"
            match = "call-*"
            secret_file = "calls.secret"

            [endpoints.everything]
            url = "{everything.url}"
            """
        )
        with serving(tmp_path) as program:
            url = url_of(program)
            assert "endpoints=calls,everything" in program.output()
            for name in ("call-1", "scan-1"):
                ask(f"{url}/v1/packets", {"resource_id": name, "index": 0, "payload": "hello", "last": True})
            await until(lambda: len(calls.requests) + len(everything.requests) == 3, 10.0)
            assert program.stop() == 0
    assert (resources(calls), resources(everything)) == (["call-1"], ["call-1", "scan-1"])
    assert calls.requests[0].headers["webhook-id"] in {r.headers["webhook-id"] for r in everything.requests}
    shared = (tmp_path / "collator-data" / "webhook.secret").read_text().splitlines()[-1]
    assert [verified(calls.requests[0], secret) for secret in (own, shared)] == [True, False]
    assert {verified(request, shared) for request in everything.requests} == {True}


async def test_r20_p6_what_an_endpoint_has_due_when_it_goes_stays_due_and_visible(tmp_path: Path) -> None:
    config = tmp_path / "collator.toml"
    config.write_text('[endpoints.gone]\nurl = "http://127.0.0.1:9/"\n')
    with serving(tmp_path) as program:
        ask(f"{url_of(program)}/v1/packets", {"resource_id": "r", "index": 0, "payload": "hello", "last": True})
        await until(lambda: ask(f"{url_of(program)}/v1/deliveries?endpoint=gone")["deliveries"], 10.0)
        assert program.stop() == 0
    async with Receiver() as receiver:
        config.write_text(f'[endpoints.other]\nurl = "{receiver.url}"\n')
        with serving(tmp_path) as program:
            url = url_of(program)
            program.says("endpoint not configured; its deliveries stay due")
            (delivery,) = ask(f"{url}/v1/deliveries?endpoint=gone&state=due")["deliveries"]
            assert "no longer configured" in ask(f"{url}/v1/resources/r")["why_undelivered"]
            assert "no longer configured" in ask(f"{url}/v1/deliveries/{delivery['id']}")["why_undelivered"]
            assert program.stop() == 0
        config.write_text(f'[endpoints.gone]\nurl = "{receiver.url}"\n')  # its typo is mended, say
        with serving(tmp_path) as program:
            await until(lambda: receiver.requests, 10.0)
            assert program.stop() == 0
    assert receiver.requests[0].headers["webhook-id"] == delivery["webhook_id"]


async def test_r22_r23_r24_attempts_pauses_and_repair_are_seen_and_done_over_http(tmp_path: Path) -> None:
    answers = (reply(404), reply(404), reply(200))
    async with Receiver(*answers, reply(500)) as receiver:
        options = ("--webhook", receiver.url, "--breaker-failures", "1", "--breaker-pause", "1h")
        with running("serve", "--port", "0", *options, cwd=tmp_path) as program:
            url = url_of(program)
            ask(f"{url}/v1/packets", {"resource_id": "r", "index": 0, "payload": "hello", "last": True})
            await until(lambda: len(receiver.requests) == 2, 10.0)
            (dead,) = ask(f"{url}/v1/deliveries")["deliveries"]
            await until(lambda: len(ask(f"{url}/v1/deliveries/{dead['id']}")["log"]) == 2, 10.0)
            assert ask(f"{url}/v1/deliveries/{dead['id']}/stop", {})["state"] == "dead"
            assert ask(f"{url}/v1/deliveries/replay", {"endpoint": "default"})["replayed"] == 1
            await until(lambda: ask(f"{url}/v1/deliveries?state=delivered")["deliveries"], 10.0)
            ask(f"{url}/v1/deliveries/{dead['id']}/replay", {})
            await until(lambda: len(ask(f"{url}/v1/deliveries/{dead['id']}")["log"]) >= 4, 10.0)
            assert "breaker open" in ask(f"{url}/v1/resources/r")["why_undelivered"]
            stopped = ask(f"{url}/v1/deliveries/{dead['id']}/stop", {})
            results = [line["result"] for line in stopped["log"]]
            assert (stopped["state"], results[:4]) == ("dead", ["failed", "failed", "delivered", "failed"])
            assert program.stop() == 0
    assert len({(request.headers["webhook-id"], request.body) for request in receiver.requests}) == 1


async def test_r23_410_pauses_an_endpoint_over_restarts_until_a_person_resumes_it(tmp_path: Path) -> None:
    async with Receiver(reply(410, "content-type: text/plain", body=b"moved away"), reply(200)) as receiver:
        (tmp_path / "collator.toml").write_text(f'[endpoints.crm]\nurl = "{receiver.url}"\n')
        with serving(tmp_path) as program:
            url = url_of(program)
            ask(f"{url}/v1/packets", {"resource_id": "r", "index": 0, "payload": "hello", "last": True})
            await until(lambda: ask(f"{url}/v1/status")["paused"] == ["crm"], 10.0)
            program.says("level=error event=.endpoint paused by its receiver. endpoint=crm")
            assert program.stop() == 0
        with serving(tmp_path) as program:
            url = url_of(program)
            ask(f"{url}/v1/packets", {"resource_id": "s", "index": 0, "payload": "hello", "last": True})
            await until(lambda: len(ask(f"{url}/v1/deliveries?state=due")["deliveries"]) == 2, 10.0)
            assert {one["attempts"] for one in ask(f"{url}/v1/deliveries")["deliveries"]} == {0}
            assert "until it is resumed (HTTP 410" in ask(f"{url}/v1/resources/s")["why_undelivered"]
            (crm,) = ask(f"{url}/v1/endpoints")["endpoints"]
            assert (crm["paused"], crm["why_not_sent"].startswith("paused since ")) == (True, True)
            assert len(receiver.requests) == 1
            assert ask(f"{url}/v1/endpoints/crm/resume", {})["paused"] is False
            program.says("level=warning event=.endpoint resumed. endpoint=crm by=.a person.")
            await until(lambda: len(ask(f"{url}/v1/deliveries?state=delivered")["deliveries"]) == 2, 10.0)
            assert program.stop() == 0
