"""What senders send instead of JSON in UTF-8, in every form of a body: it is named, and a mark is passed over."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.http.listener import Harness, Reply, chunk, ndjson, open_door, packet, request, stream_head

BOM = b"\xef\xbb\xbf"
JSON, LINES = "application/json", "application/x-ndjson"
ONE = json.dumps(packet(0, payload="ü")).encode()
TWO = ndjson(packet(0), packet(1))
PUT = "/v1/resources/r/packets/0"
FORMS: dict[str, tuple[str, str, str, bytes]] = {
    "one packet": ("POST", "/v1/packets", JSON, ONE),
    "an array": ("POST", "/v1/packets", JSON, b"[" + ONE + b"]"),
    "a stream": ("POST", "/v1/packets", LINES, ONE + b"\n"),
    "a stream without a line feed": ("POST", "/v1/packets", LINES, ONE),
    "a stream with receipts": ("POST", "/v1/packets?receipts=all", LINES, ONE + b"\n"),
    "a payload": ("PUT", PUT, JSON, '"ü"'.encode()),
    "an order": ("POST", "/v1/resources/x/complete", JSON, b'{"total": 3}'),
}
forms = pytest.mark.parametrize("form", FORMS)
packets = pytest.mark.parametrize("form", [name for name in FORMS if name != "an order"])


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path) as listener:
        await listener.post(packet(0, "x"))
        yield listener


async def ask(listener: Harness, form: str, body: bytes, **more: str) -> Reply:
    method, path, media_type, _ = FORMS[form]
    return await listener.ask(method, path, body, **{"media_type": media_type, **more})


def said(reply: Reply) -> str:
    """What is wrong, by whatever the answer says it."""
    last = reply.lines[-1] if reply.headers["content-type"] == LINES else reply.json
    detail: str = last["detail"]
    return detail


# A byte order mark.


@forms
async def test_r3_a_mark_at_the_start_of_a_body_is_passed_over(listener: Harness, form: str) -> None:
    reply = await ask(listener, form, BOM + FORMS[form][3])
    assert reply.status in {200, 202}, reply
    if form != "an order":
        assert (await listener.ask("GET", "/v1/resources/r")).json["received"] == 1
        again = await ask(listener, form, FORMS[form][3])
        last = again.lines[-1]
        assert last.get("duplicate", last.get("status", last.get("receipts"))) in (1, "duplicate", last.get("receipts"))


@packets
async def test_r3_a_mark_that_comes_in_pieces_is_passed_over_too(listener: Harness, form: str) -> None:
    method, path, media_type, body = FORMS[form]
    async with listener.wire() as wire:
        await wire.send(request(method, path, b"", media_type=media_type, transfer_encoding="chunked"))
        for byte in BOM + body:
            await wire.send(chunk(bytes([byte])))
        await wire.send(chunk(b""))
        assert (await wire.reply()).status in {200, 202}
    assert (await listener.ask("GET", "/v1/resources/r")).json["received"] == 1


async def test_r3_a_stream_of_a_shell_of_windows_is_taken_whole(listener: Harness) -> None:
    """A mark, CRLF, a blank line at the end."""
    reply = await listener.ask("POST", "/v1/packets", BOM + TWO.replace(b"\n", b"\r\n") + b"\r\n", media_type=LINES)
    assert (reply.status, reply.json["accepted"], reply.json["malformed"]) == (200, 2, 0)


async def test_r3_a_payload_is_kept_without_the_mark(listener: Harness) -> None:
    await listener.ask("PUT", PUT, BOM + b'"hello"')
    assert (await listener.ask("PUT", PUT, b'"hello"')).json["status"] == "duplicate"


@pytest.mark.parametrize("body", [BOM, BOM + b"\n"])
async def test_a_mark_alone_is_an_empty_body(listener: Harness, body: bytes) -> None:
    assert (await listener.ask("POST", "/v1/packets", body)).problem["detail"] == "the body is empty"
    reply = await listener.ask("POST", "/v1/packets", body, media_type=LINES)
    assert (reply.status, reply.json["malformed"]) == (200, 0)


async def test_only_a_mark_at_the_start_is_passed_over(listener: Harness) -> None:
    reply = await listener.ask("POST", "/v1/packets", ndjson(packet(0)) + BOM + ndjson(packet(1)), media_type=LINES)
    assert (reply.json["accepted"], [one["line"] for one in reply.json["rejected"]]) == (1, [2])
    assert (await listener.post(BOM + BOM + ONE)).status == 422


# Other encodings, and what is packed.

FOREIGN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "UTF-16 (little-endian) with its mark": (
        "UTF-16 (little-endian)",
        lambda text: b"\xff\xfe" + utf(text, "utf-16-le"),
    ),
    "UTF-16 (big-endian) with its mark": ("UTF-16 (big-endian)", lambda text: b"\xfe\xff" + utf(text, "utf-16-be")),
    "UTF-16 (little-endian)": ("UTF-16 (little-endian)", lambda text: utf(text, "utf-16-le")),
    "UTF-16 (big-endian)": ("UTF-16 (big-endian)", lambda text: utf(text, "utf-16-be")),
    "UTF-32 with its mark": ("UTF-32 (little-endian)", lambda text: b"\xff\xfe\0\0" + utf(text, "utf-32-le")),
    "UTF-32 (big-endian)": ("UTF-32 (big-endian)", lambda text: utf(text, "utf-32-be")),
    "gzip": ("gzip", gzip.compress),
    "zlib": ("zlib", zlib.compress),
    "zstd": ("zstd", lambda text: b"\x28\xb5\x2f\xfd" + text),
}


def utf(text: bytes, encoding: str) -> bytes:
    return text.decode().encode(encoding)


@forms
@pytest.mark.parametrize("foreign", FOREIGN)
async def test_what_is_not_utf_8_is_named(listener: Harness, form: str, foreign: str) -> None:
    name, make = FOREIGN[foreign]
    reply = await ask(listener, form, make(FORMS[form][3]))
    assert f"this is {name} {'text' if name.startswith('UTF') else 'data'}: send it" in said(reply)
    assert reply.status == (200 if form == "a stream with receipts" else 422)
    assert (await listener.ask("GET", "/v1/resources/r")).status == 404


@forms
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "zstd", "x" * 5000])
async def test_a_packed_body_that_says_so_gets_415(listener: Harness, form: str, coding: str) -> None:
    reply = await ask(listener, form, FORMS[form][3], content_encoding=coding)
    assert (reply.status, reply.problem["code"]) == (415, "unsupported_media_type")
    assert coding[:100] in reply.problem["detail"]
    assert len(reply.problem["detail"]) < 300


@forms
@pytest.mark.parametrize("coding", ["identity", "Identity"])
async def test_a_body_that_says_that_it_is_not_packed_is_taken(listener: Harness, form: str, coding: str) -> None:
    assert (await ask(listener, form, FORMS[form][3], content_encoding=coding)).status in {200, 202}


@forms
@pytest.mark.parametrize(
    "parameters",
    [
        "; charset=utf-8",
        ";charset=UTF-8",
        '; charset="utf-8"',
        '; Charset="UTF-8"; x=y',
        ";  charset=utf8",
        "; charset=us-ascii",
        ";",
    ],
)
async def test_a_charset_in_which_json_is_utf_8_is_taken(listener: Harness, form: str, parameters: str) -> None:
    media_type = FORMS[form][2] + parameters
    assert (await ask(listener, form, FORMS[form][3], media_type=media_type)).status in {200, 202}


@forms
@pytest.mark.parametrize("charset", ["utf-16", "UTF-16LE", '"utf-16be"', "utf16", "UTF-32", "utf-7", "ucs-2"])
async def test_any_other_charset_gets_415(listener: Harness, form: str, charset: str) -> None:
    reply = await ask(listener, form, FORMS[form][3], media_type=f"{FORMS[form][2]}; charset={charset}")
    assert (reply.status, reply.problem["code"]) == (415, "unsupported_media_type")
    assert "UTF-8" in reply.problem["detail"]
    assert charset.strip('"').lower() in reply.problem["detail"]


@pytest.mark.parametrize("parameters", ["; charset=utf-8; charset=utf-16", '; x="a"; charset=UTF-8;charset="UTF-16"'])
async def test_a_second_charset_counts_too(listener: Harness, parameters: str) -> None:
    reply = await ask(listener, "one packet", ONE, media_type=JSON + parameters)
    assert (reply.status, reply.problem["code"]) == (415, "unsupported_media_type")


# One media type for another.


async def test_lines_as_json_are_named(listener: Harness) -> None:
    for body in (TWO, TWO * 20_000, TWO.replace(b"\n", b"\r\n"), b"\n" + TWO):
        problem = (await listener.ask("POST", "/v1/packets", body)).problem
        assert (problem["status"], problem["code"]) == (422, "malformed")
        assert "more than one JSON value" in problem["detail"]
        assert LINES in problem["detail"]


@pytest.mark.parametrize("form", ["a payload", "an order"])
async def test_lines_where_there_is_one_value_are_named(listener: Harness, form: str) -> None:
    problem = (await ask(listener, form, b'{"a": 1}\n{"a": 2}\n')).problem
    assert (problem["status"], "more than one JSON value" in problem["detail"]) == (422, True)
    assert LINES not in problem["detail"]


async def test_two_values_on_a_line_are_named(listener: Harness) -> None:
    problem = (await listener.ask("POST", "/v1/packets", ONE + ONE)).problem
    assert "more than one value (byte" in problem["detail"]


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("size", [1, 3000])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("options", ["", "?receipts=all"])
async def test_an_array_as_a_stream_is_named(
    listener: Harness, end: bytes, size: int, indent: int | None, options: str
) -> None:
    """As one line, as many, and as one that is longer than any packet."""
    given = [packet(i, payload="x" * 500) for i in range(size)]
    reply = await listener.ask(
        "POST", "/v1/packets" + options, json.dumps(given, indent=indent).encode() + end, media_type=LINES
    )
    last: dict[str, Any] = reply.lines[-1]
    assert last["code"] == "malformed"
    assert last["accepted"] == 0
    assert "this is a JSON array: send it as application/json" in last["detail"]
    assert reply.status == (200 if options else 422)


WANTED = {"one packet": (JSON, LINES), "an array": (JSON, LINES), "a payload": (JSON,), "an order": (JSON,)}


@pytest.mark.parametrize("form", [*WANTED, "a stream"])
@pytest.mark.parametrize(
    "media_type",
    [
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/json",
        "text/plain; charset=utf-8",
        "application/ndjson",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/" + "x" * 5000,
    ],
)
async def test_another_media_type_gets_415_and_is_told_the_right_one(
    listener: Harness, form: str, media_type: str
) -> None:
    reply = await ask(listener, form, FORMS[form][3], media_type=media_type)
    assert (reply.status, reply.problem["code"]) == (415, "unsupported_media_type")
    assert media_type.partition(";")[0][:100] in reply.problem["detail"]
    assert all(wanted in reply.problem["detail"] for wanted in WANTED.get(form, (JSON, LINES)))
    assert len(reply.problem["detail"]) < 400


@pytest.mark.parametrize("form", [*WANTED, "a stream"])
async def test_no_media_type_is_told_in_plain_words(listener: Harness, form: str) -> None:
    problem = (await ask(listener, form, FORMS[form][3], media_type="")).problem
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")
    assert problem["detail"].startswith("the request has no content-type; set it to application/json")


async def test_lines_as_a_payload_get_415(listener: Harness) -> None:
    assert (await ask(listener, "a payload", b'"x"\n', media_type=LINES)).status == 415


async def test_a_stream_of_one_line_is_one_packet_as_json(listener: Harness) -> None:
    assert (await listener.ask("POST", "/v1/packets", ONE + b"\n")).status == 202


async def test_a_first_line_that_is_cut_off_is_still_called_cut_off(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ONE[:-3]) + chunk(b""))
        reply = await wire.reply()
    assert (reply.status, reply.json["rejected"][0]["problem"]["code"]) == (422, "incomplete_line")


@pytest.mark.parametrize("half", [r"\ud800", r"\udbff\udbff", r"\udc00", r"\udfff\ud800", r"a\uDBFF"])
@pytest.mark.parametrize("behind", ["", "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])
@packets
async def test_half_of_a_surrogate_pair_is_named(listener: Harness, form: str, half: str, behind: str) -> None:
    for data in (f'"{half}{behind}"', f'{{"{half}{behind}":1}}', f'[["{half}{behind}"]]'):
        body = data if form == "a payload" else json.dumps(packet(payload="@")).replace('"@"', data)
        reply = await ask(listener, form, (f"[{body}]" if form == "an array" else body).encode())
        assert "half of a surrogate pair, which UTF-8 cannot encode" in said(reply)


@pytest.mark.parametrize("indent", [1, 2, 4, "\t"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
async def test_an_object_over_several_lines_is_named(listener: Harness, indent: int | str, end: bytes) -> None:
    text = json.dumps(packet(payload={"a": [1, 2]}), indent=indent)
    for written in (text, text.replace("{\n", "{ ", 1)):
        reply = await ask(listener, "a stream", written.encode() + end)
        assert "this is one JSON object on several lines: send it on one line, or as application/json" in said(reply)


async def test_a_mark_behind_the_first_line_is_named(listener: Harness) -> None:
    lines = [json.dumps(packet(index)).encode() for index in range(3)]
    stream = b"\n".join([BOM + lines[0], BOM + lines[1], lines[2], BOM + lines[1]])
    summary = (await listener.ask("POST", "/v1/packets", stream, media_type="application/x-ndjson")).json
    assert (summary["accepted"], summary["malformed"]) == (2, 2)
    for one in summary["rejected"]:
        assert "a byte order mark begins this line" in one["problem"]["detail"]
