"""Lines from files and pipes: all of them, as they come."""

from __future__ import annotations

import gzip
import os
import threading
from contextlib import aclosing
from pathlib import Path

import pytest

from collator.cli import input_lines
from collator.cli.input_lines import lines
from collator.errors import CollatorError
from tests.wait import until


async def collected(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [line async for line in lines(file)]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\n\nb\r\n", [b"a", b"", b"b\r"]),
        (b"\n\n", [b"", b""]),
        (b"\xef\xbb\xbfa\nb\n", [b"a", b"b"]),
        (b"\xef\xbb\xbfa", [b"a"]),
        (b"a\n\xef\xbb\xbfb\n", [b"a", b"\xef\xbb\xbfb"]),
    ],
)
async def test_a_file_gives_its_lines_blank_ones_too(tmp_path: Path, content: bytes, wanted: list[bytes]) -> None:
    (tmp_path / "file").write_bytes(content)
    assert await collected(tmp_path / "file") == wanted


LINE = b'{"resource_id": "r", "index": 0, "payload": 1}\n'


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (LINE.decode().encode("utf-16"), "UTF-16"),
        (LINE.decode().encode("utf-16-be"), "UTF-16"),
        (gzip.compress(LINE, mtime=0), "this is gzip data: send it uncompressed"),
        (b"[" + LINE.strip() + b"]", "this is a JSON array"),
        (b"\xef\xbb\xbf[\n" + LINE + b"]\n", "this is a JSON array"),
    ],
)
async def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CollatorError, match=name):
        await collected(tmp_path / "file")
    await until(lambda: all(thread.name != "reader" for thread in threading.enumerate()))


async def test_r3_a_mark_that_comes_in_pieces_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_lines, "CHUNK", 1)
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf" + LINE + LINE)
    assert await collected(tmp_path / "file") == [LINE.strip()] * 2


async def test_lines_longer_than_a_chunk_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_lines, "CHUNK", 7)
    wanted = [b"x" * size for size in range(30)]
    (tmp_path / "file").write_bytes(b"\n".join(wanted))
    assert await collected(tmp_path / "file") == wanted


async def test_a_line_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_lines, "LONGEST", 1000)
    (tmp_path / "file").write_bytes(b"one\n" + b"x" * 2000)
    with pytest.raises(CollatorError, match="a line is longer than"):
        await collected(tmp_path / "file")
    await until(lambda: all(thread.name != "reader" for thread in threading.enumerate()))


async def test_a_line_of_a_pipe_is_there_before_the_next_one() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source:
        async with aclosing(lines(source)) as coming:  # type: ignore[type-var]
            os.write(writer, b"first\nsec")
            assert await anext(coming) == b"first"
            os.write(writer, b"ond\n")
            assert await anext(coming) == b"second"
            os.close(writer)
            assert [line async for line in coming] == []


async def test_what_cannot_be_read_is_told() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as source, pytest.raises(CollatorError, match="cannot be read: Bad file descriptor"):
        _ = [line async for line in lines(source)]
