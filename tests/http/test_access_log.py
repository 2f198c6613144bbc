"""The access log: each request once it is answered, without a secret; and nothing of it where nobody asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collator.tokens import Role, generate_token, line_for
from tests.http.service import running
from tests.http.sockets import socket

pytestmark = pytest.mark.anyio


async def test_each_request_is_logged_without_its_secrets(tmp_path: Path) -> None:
    token, tokens = generate_token(), tmp_path / "tokens"
    tokens.write_text(line_for(token, roles=[*Role], name="crm") + "\n")
    tokens.chmod(0o600)
    bearer = {"authorization": f"Bearer {token}"}
    packet = {"resource_id": "r", "index": 0, "payload": "a secret", "last": True}
    with capture_logs() as logs:
        async with running(tmp_path / "data", access_log=True, tokens_file=tokens) as service:
            assert (await service.ask("POST", "/v1/packets", packet, **bearer)).status == 202
            listed = await service.ask("GET", "/v1/resources?prefix=secret", **bearer)
            assert (await service.ask("GET", "/v1/resources/r/events?ticket=secret")).status == 401
            assert (await service.ask("GET", "/healthz")).status == 200
            async with socket(int(service.service.url.rpartition(":")[2]), token) as client:
                assert (await client.start("s"))["type"] == "begin"
    told = [line for line in logs if line["event"] == "request answered"]
    assert [(one["method"], one["path"], one["status"], one["who"]) for one in told] == [
        ("POST", "/v1/packets", 202, "crm"),
        ("GET", "/v1/resources", 200, "crm"),
        ("GET", "/v1/resources/r/events", 401, ""),
        ("GET", "/healthz", 200, ""),
        ("GET", "/v1/stream", None, "crm"),
    ]
    assert told[1]["bytes"] == len(listed.body)
    assert {one["peer"] for one in told} == {"127.0.0.1"}
    assert all(0 <= one["seconds"] < 60 for one in told)
    assert not [line for line in told if "secret" in str(line) or token in str(line)]


async def test_no_request_is_logged_where_nobody_asked_for_it(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with running(tmp_path) as service:
            assert (await service.post({"resource_id": "r", "index": 0, "payload": 1})).status == 202
    assert "request answered" not in {line["event"] for line in logs}
