"""What an error of the file system means to a person: its own words for each kind, and an exit code."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from collator.cli.exits import Exit, exit_for
from collator.directory import is_full, unusable

KINDS = [
    (errno.EACCES, Exit.CONFIG, "make it writable for this user, or choose another with --dir"),
    (errno.EPERM, Exit.CONFIG, "make it writable for this user"),
    (errno.EROFS, Exit.CONFIG, "Read-only file system; mount its disk writable"),
    (errno.ENOTDIR, Exit.CONFIG, "is not a directory, or its parent is not"),
    (errno.EEXIST, Exit.CONFIG, "is not a directory, or its parent is not"),
    (errno.ENOENT, Exit.CONFIG, "check whether it was moved or removed"),
    (errno.ELOOP, Exit.CONFIG, "repair its symbolic links"),
    (errno.ENAMETOOLONG, Exit.CONFIG, "File name too long; use a shorter path"),
    (errno.ENOSPC, Exit.UNREACHABLE, "the disk is full; free some space"),
    (errno.EMFILE, Exit.UNREACHABLE, "raise the limit of open files (ulimit -n)"),
    (errno.EIO, Exit.UNREACHABLE, "check the disk"),
]


@pytest.mark.parametrize(("code", "exit_code", "words"), KINDS, ids=[errno.errorcode[code] for code, _, _ in KINDS])
def test_each_error_of_the_file_system_is_told_in_its_own_words(code: int, exit_code: Exit, words: str) -> None:
    told = unusable(Path("somewhere") / ("x" * 300), OSError(code, os.strerror(code)), option="--dir")
    assert words in told.detail
    assert exit_for(told) is exit_code
    assert "\n" not in told.detail


@pytest.mark.skipif(os.name != "posix", reason="nothing there counts files")
def test_a_disk_without_inodes_is_told_from_one_without_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    assert not is_full(tmp_path)

    def without_inodes(_path: object) -> os.statvfs_result:
        return os.statvfs_result((*real[:5], 1000, 0, 0, *real[8:]))

    monkeypatch.setattr(os, "statvfs", without_inodes)
    assert is_full(tmp_path)
    told = unusable(tmp_path / "new", OSError(errno.ENOSPC, "No space left on device"), option="--dir")
    assert "no free inodes" in told.detail
