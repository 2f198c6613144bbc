"""What a request says beside its body: which packet it is for, and the headers of the operator's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collator import workers
from collator.clock import SystemClock
from collator.errors import ConfigError
from collator.messages import Key, Lease, Task
from collator.processor import HttpService, ShapeOptions, open_processor
from collator.processor.headers import packet_headers, parse_headers
from collator.processor.request import Shape
from collator.settings import Settings

URL = "http://127.0.0.1:9/"


def task(resource_id: str = "call-17") -> Task:
    return Task(Key(resource_id, b"g" * 16, 4), b'"hello"', 2, Lease(9, 9))


@given(resource_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_r29_the_id_is_told_in_visible_ascii_that_decodes_to_it(resource_id: str) -> None:
    told = packet_headers(task(resource_id))["collator-resource-id"]
    assert unquote(told) == resource_id
    assert all("!" <= character <= "~" for character in told)


def test_r29_an_ordinary_id_is_told_as_it_is() -> None:
    assert packet_headers(task("call:17/a+b")) == {
        "idempotency-key": packet_headers(task("call:17/a+b"))["idempotency-key"],
        "collator-resource-id": "call:17/a+b",
        "collator-index": "4",
        "collator-attempt": "2",
    }
    assert packet_headers(task("50 % \u00e4"))["collator-resource-id"] == "50%20%25%20%C3%A4"


def test_r29_the_headers_of_the_file() -> None:
    text = "\ufeff# of the model\r\nX-API-Key: se:cret = \r\n\n  Authorization:Bearer a b\nX-Name:  J\u00fcrgen\t1"
    assert parse_headers(text) == {
        "x-api-key": "se:cret =",
        "authorization": "Bearer a b",
        "x-name": "J\u00fcrgen\t1",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("NEVERSHOWN", "line 1: expected NAME: VALUE, as in X-API-Key: …"),
        ("# x\nX-Key:\n", "line 2: expected NAME: VALUE"),
        ("X Key: NEVERSHOWN", "line 1: expected NAME: VALUE"),
        ("X-Key: NEVER\x0bSHOWN", "line 1: expected NAME: VALUE"),
        ("X-Key: NEVERSHOWN\nx-key: NEVERSHOWN", "line 2: x-key occurs twice"),
        ("Host: NEVERSHOWN", "line 1: Collator sets host itself"),
        ("Content-Length: 7", "line 1: Collator sets content-length itself"),
        ("Idempotency-Key: NEVERSHOWN", "line 1: Collator sets idempotency-key itself"),
        ("Collator-Index: 7", "line 1: Collator sets collator-index itself"),
    ],
)
def test_r29_a_line_that_cannot_be_used_is_named_without_its_value(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_headers(text)
    assert refused.value.detail.startswith(told)
    assert "NEVERSHOWN" not in refused.value.detail


def shaped(path: Path, url: str = URL, **options: Any) -> Shape:  # noqa: ANN401 - those of the shape
    return Shape(ShapeOptions(headers_file=path, **options), url)


def test_r29_the_file_counts_beside_the_standard_headers_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("X-API-Key: one\nUser-Agent: me\n")
    path.chmod(0o600)
    shape = shaped(path)
    request = shape.request(task())
    assert request.headers["x-api-key"] == "one"
    assert (request.headers["user-agent"], request.headers["content-type"]) == ("me", "application/json")
    assert {*request.secret} == {"x-api-key", "user-agent"}
    aside = tmp_path / "aside"
    aside.write_text("X-API-Key: two\n")
    aside.replace(path)
    assert shape.request(task()).headers["x-api-key"] == "two"
    path.write_text("broken")
    assert shape.request(task()).headers["x-api-key"] == "two", "what it said before stays in use"


def test_a_file_that_others_can_read_leaves_a_line_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("X-API-Key: NEVERSHOWN\n")
    path.chmod(0o644)
    with capture_logs() as events:
        shaped(path)
    assert ["chmod go-rwx" in str(event) for event in events] == [True]
    assert "NEVERSHOWN" not in str(events)


def test_credentials_are_in_the_url_or_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("Authorization: Bearer NEVERSHOWN\n")
    assert shaped(path).request(task()).headers["authorization"] == "Bearer NEVERSHOWN"
    with pytest.raises(ConfigError, match="line 1: the URL of the processor has a user or a password too") as refused:
        shaped(path, "http://me:NEVERSHOWN@127.0.0.1:9/")
    assert "NEVERSHOWN" not in refused.value.detail


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="processor_headers_file nowhere: No such file"):
        shaped(Path("nowhere"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"request": '{"a": }'}, "processor_request: line 1, column 7: not JSON"),
        ({"output": "choices"}, "processor_output: 'choices' is not a JSON Pointer"),
    ],
)
def test_r29_what_can_never_work_fails_at_the_start_with_its_setting(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_processor(URL, shape=ShapeOptions(**options))
    assert refused.value.detail.startswith(told)


@pytest.mark.parametrize(
    "options", [{"request": '"{{payload}}"'}, {"output": "/a"}, {"headers_file": Path("x")}, {"method": "PUT"}]
)
@pytest.mark.parametrize("processor", ["collator.processor:word_lengths", len])
def test_r29_what_shapes_requests_is_refused_for_a_function(processor: Any, options: dict[str, Any]) -> None:  # noqa: ANN401
    (name,) = options
    with pytest.raises(ConfigError, match=f"processor_{name}: works only with an HTTP service, and the processor is a"):
        open_processor(processor, shape=ShapeOptions(**options))
    assert open_processor(processor, shape=ShapeOptions())


@pytest.mark.parametrize(("keep_alive", "seconds"), [(7.0, 7.0), (None, 0.0)])
@pytest.mark.parametrize(
    ("request_text", "wanted"), [(None, False), ('"{{payload}}"', False), ('["{{payload}}", "{{metadata}}"]', True)]
)
def test_r29_the_settings_reach_the_service_and_say_whether_metadata_is_wanted(
    tmp_path: Path, request_text: str | None, wanted: bool, keep_alive: float | None, seconds: float
) -> None:
    path = tmp_path / "headers"
    path.touch(mode=0o600)
    settings = Settings(
        processor=URL,
        processor_request=request_text,
        processor_output="/a",
        processor_headers_file=path,
        processor_method="PATCH",
        processor_keep_alive=keep_alive,
    )
    backend: Any = workers.open_backend(settings, clock=SystemClock(), stood_still=lambda: 0.0)
    service = backend._processor
    assert isinstance(service, HttpService)
    assert backend.wants_metadata is wanted
    assert service.shape.method == "PATCH"
    assert service.shape.output(b'{"a": 7}') == b"7"
    assert service._keep_alive == seconds


def test_a_function_wants_no_metadata() -> None:
    backend = workers.open_backend(Settings(), clock=SystemClock(), stood_still=lambda: 0.0)
    assert not backend.wants_metadata
