"""What a receiver makes of a webhook: the name and the bytes of its file."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.cli.webhook_file import SUFFIXES, File, file_for, file_name, write_newer
from collator.cli.webhook_text import MAX_INDENTED, Format, Layout
from collator.processor.pointer import NothingFoundError, Pointer

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
"""What Windows takes for a device, whatever stands behind the first dot."""

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=240)
devices = st.builds("{}{}{}".format, st.sampled_from([*RESERVED, "AUX", "Com1"]), st.sampled_from(["", "."]), texts)
ids = texts.filter(bool) | devices


def body(kind: str, resource_id: str, **data: object) -> bytes:
    event = {
        "type": f"resource.{kind}",
        "timestamp": "2026-11-24T02:05:00.123456Z",
        "data": {"resource_id": resource_id, **data},
    }
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("resource_id", "name"),
    [
        ("call-17", "call-17"),
        ("a_b.c", "a_b.c"),
        ("a/b", "a%2fb"),
        ("../up", "%2e.%2fup"),
        ("..", "%2e."),
        ("50% of 3", "50%25%20of%203"),
        ("~x", "%7ex"),
        ("ü", "%c3%bc"),
    ],
)
def test_a_name_is_the_id_as_far_as_a_file_can_hold_it(resource_id: str, name: str) -> None:
    assert file_name(resource_id) == name


@pytest.mark.parametrize(
    "resource_id", ["Call", "CON", "con", "nul.x", "Call.x", "com1", "aux." + "a" * 250, "a" * 151, "ü" * 100]
)
def test_a_name_that_could_clash_carries_a_hash(resource_id: str) -> None:
    plain, _, hashed = file_name(resource_id).partition("~")
    digest, _, rest = hashed.partition(".")
    assert len(digest) == 16
    assert len(f"{plain}.{rest}") <= 151


@given(st.lists(ids, unique=True, min_size=2, max_size=20))
def test_different_ids_never_share_a_file_even_where_case_is_not_told_apart(resource_ids: list[str]) -> None:
    names = [file_name(resource_id) for resource_id in resource_ids]
    assert len({name.lower() for name in names}) == len(names)


@given(ids)
def test_a_name_is_one_that_every_file_system_takes(resource_id: str) -> None:
    name = file_name(resource_id)
    assert name.isascii()
    assert len(name) + len(".incomplete.json") < 255
    assert not set(name) & set('<>:"/\\|?* ')
    assert not name.startswith(".")
    assert name.partition(".")[0].lower() not in RESERVED


OUTPUTS = [[3, 5], "a\nb", None, {"x": 1.50}, "", "c\n", "\tü"]


@pytest.mark.parametrize(
    ("chosen", "name", "content"),
    [
        (Format.TEXT, "call-17.txt", '[3,5]\na\nb\nnull\n{"x":1.5}\n\nc\n\tü\n'),
        (Format.JSONL, "call-17.jsonl", '[3,5]\n"a\\nb"\nnull\n{"x":1.5}\n""\n"c\\n"\n"\\tü"\n'),
    ],
)
def test_a_collated_resource_has_one_output_after_another(chosen: Format, name: str, content: str) -> None:
    raw = msgspec.json.encode(msgspec.json.decode(body("collated", "call-17", outputs=OUTPUTS)))
    file = file_for(raw, Layout(chosen))
    assert (file.full_name, b"".join(file.pieces).decode()) == (name, content)


def test_as_json_a_collated_resource_is_all_that_the_webhook_says() -> None:
    data = {"completed_by": "last", "total": 7, "metadata": {"a": "b"}, "outputs": OUTPUTS}
    file = file_for(body("collated", "call-17", **data), Layout(Format.JSON))
    assert file.full_name == "call-17.collated.json"
    assert json.loads(b"".join(file.pieces)) == {"resource_id": "call-17", **data}


def test_no_ending_is_the_end_of_another_as_two_ids_would_share_a_file() -> None:
    assert not [(a, b) for a in SUFFIXES for b in SUFFIXES if a != b and a.endswith(b)]


@pytest.mark.parametrize(
    ("pointer", "outputs", "content"),
    [
        ("/text", [{"text": "Hello,", "at": 1}, {"text": "world."}], "Hello,\nworld.\n"),
        ("/choices/0/m~1n", [{"choices": [{"m/n": "deep"}]}], "deep\n"),
        ("", ["whole"], "whole\n"),
        ("/text", [{"text": None}, {"text": [1, "a"]}, {"text": 1.50}], 'null\n[1,"a"]\n1.5\n'),
    ],
)
def test_a_field_is_what_is_written_of_each_output(pointer: str, outputs: list[object], content: str) -> None:
    raw = msgspec.json.encode(msgspec.json.decode(body("collated", "r", outputs=outputs)))
    assert b"".join(file_for(raw, Layout(field=Pointer(pointer))).pieces).decode() == content


def test_a_field_as_json_is_written_as_it_was_received() -> None:
    raw = b'{"type":"resource.collated","data":{"resource_id":"r","outputs":[{"n":1.50},{"n":"x"},{"n":[1,\n2]}]}}'
    assert [*file_for(raw, Layout(Format.JSONL, Pointer("/n"))).pieces] == [b"1.50\n", b'"x"\n', b"[1,2]\n"]


@pytest.mark.parametrize("outputs", [[{"text": "a"}, {"txt": "b"}], [{"text": "a"}, "b"], [{"text": "a"}, None]])
def test_an_output_without_the_field_is_named_and_nothing_is_left(tmp_path: Path, outputs: list[object]) -> None:
    file = file_for(body("collated", "r", outputs=outputs), Layout(field=Pointer("/text")))
    with pytest.raises(NothingFoundError, match=r"output 1 has nothing at /text: output 1 is .*: see --field"):
        write_newer(tmp_path, file)
    assert [*tmp_path.iterdir()] == []


def test_what_is_incomplete_is_written_whole_whatever_the_field() -> None:
    file = file_for(body("incomplete", "r", partial=[{"index": 0, "output": 1}]), Layout(field=Pointer("/text")))
    assert json.loads(b"".join(file.pieces))["partial"] == [{"index": 0, "output": 1}]


def test_a_text_keeps_its_pages_and_lines_and_no_control_of_a_terminal() -> None:
    text = "a\r\nb\rc\x1b[2J\x07\x9b1m\x00\tpage\f\u05d0\u200f\u202b"
    raw = body("collated", "r", outputs=[text])
    assert b"".join(file_for(raw).pieces).decode() == (
        "a\r\nb\\rc\\x1b[2J\\x07\\x9b1m\\x00\tpage\f\u05d0\u200f\u202b\n"
    )


def test_an_output_is_written_as_it_was_received_but_in_one_line() -> None:
    raw = (
        b'{"type":"resource.collated","data":{"resource_id":"r","outputs":[1.50, 12345678901234567890123, [1,\r\n 2]]}}'
    )
    assert [*file_for(raw).pieces] == [b"1.50\n", b"12345678901234567890123\n", b"[1,2]\n"]


@pytest.mark.parametrize(
    "outputs",
    [
        b"[]", b"[ ]", b"[1]", b"[[]]", b'["]", "[,", "\\"]", "\\\\"]', b"[ 1 , 2 ]", b"[1,\n2]",
        b'[{"a": [1, {}]},null,true]',
        b"[" + b"9" * 5000 + b",1e400,-0.0]", '["ü,", "\u20ac,"]'.encode(), b"[" + b"[" * 127 + b"]" * 127 + b",1]",
    ],
)  # fmt: skip
def test_the_outputs_are_taken_apart_as_json_has_them(outputs: bytes) -> None:
    raw = b'{"type":"resource.collated","data":{"resource_id":"r","outputs":%s}}' % outputs
    lines = [*file_for(raw, Layout(Format.JSONL)).pieces]
    assert [line.count(b"\n") for line in lines] == [1] * len(lines)
    wanted = msgspec.json.decode(outputs, type=list[msgspec.Raw])
    assert [msgspec.json.format(line[:-1], indent=-1) for line in lines] == [
        msgspec.json.format(bytes(one), indent=-1) for one in wanted
    ]


def test_an_incomplete_resource_has_a_name_of_its_own() -> None:
    data = {"total": 3, "partial": [{"index": 0, "output": [1]}], "missing": [[1, 2]]}
    file = file_for(body("incomplete", "call-17", **data))
    assert file.full_name == "call-17.incomplete.json"
    assert json.loads(b"".join(file.pieces)) == {"resource_id": "call-17", **data}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"[]",
        b"\xff",
        body("cancelled", "r"),
        body("collated", "r"),
        b'{"type": "resource.collated"}',
        body("collated", "", outputs=[]),
        body("incomplete", "a\n"),
        body("collated", "x" * 256, outputs=[]),
        body("collated", "r", outputs={}),
        body("collated", "r", outputs=None),
        b'{"type":"resource.collated","timestamp":"2026-11-24T02:05:00","data":{"resource_id":"r","outputs":[]}}',
    ],
)
def test_what_is_no_webhook_of_collator_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        file_for(raw)


def test_a_large_incomplete_resource_is_written_as_it_came() -> None:
    """Indents may make it many times as large."""
    partial = [{"index": 0, "output": "x" * MAX_INDENTED}]
    raw = body("incomplete", "r", partial=partial)
    assert b"".join(file_for(raw).pieces).rstrip() in raw


def file(content: bytes, *, ended: int, ending: str = ".txt", name: str = "r") -> File:
    return File(name, ending, [content[:1], content[1:]], ended)


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    assert write_newer(tmp_path, file(b"old", ended=1)) == 3
    assert write_newer(tmp_path, file(b"newer", ended=2)) == 5
    assert (tmp_path / "r.txt").read_bytes() == b"newer"
    assert [path.name for path in tmp_path.iterdir()] == ["r.txt"]


@pytest.mark.parametrize("ending", SUFFIXES)
def test_what_ended_earlier_replaces_nothing(tmp_path: Path, ending: str) -> None:
    """Whichever of the two files a resource has."""
    newest = file(b"new", ended=1_795_485_900_123_457_000)
    assert write_newer(tmp_path, newest) == 3
    assert write_newer(tmp_path, file(b"old", ended=1_795_485_900_123_456_000, ending=ending)) is None
    assert write_newer(tmp_path, newest) == 3  # a repeat
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("r.txt", b"new")]
    assert write_newer(tmp_path, file(b"other", ended=1, name="other")) == 5


@pytest.mark.parametrize("ending", SUFFIXES)
def test_r16_what_supersedes_takes_the_place_of_either_file(tmp_path: Path, ending: str) -> None:
    for before in SUFFIXES:
        write_newer(tmp_path, file(b"old", ended=1, ending=before))
    write_newer(tmp_path, file(b"other", ended=1, name="other"))
    assert write_newer(tmp_path, file(b"new", ended=2, ending=ending)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt", f"r{ending}"]


def test_the_time_of_a_file_is_that_at_which_its_resource_ended(tmp_path: Path) -> None:
    write_newer(tmp_path, file_for(body("collated", "r", outputs=[1])))
    assert (tmp_path / "r.txt").stat().st_mtime_ns == 1_795_485_900_123_456_000


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.txt").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_newer(tmp_path, file(b"new", ended=2**62))
    assert [path.name for path in tmp_path.iterdir()] == ["r.txt"]
