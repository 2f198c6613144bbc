"""Disks of a test's own, which lose their power or are full. They need root, and are unmounted whatever happens."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.requirements import need

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
"""With the places where a plain user's shell does not look."""
MIB = 1024 * 1024


class Disk:
    """ext4 on a file. What has reached the file is what a machine finds after a power cut."""

    def __init__(self, image: Path, mount: Path) -> None:
        self.image, self.mount = image, mount

    def after_power_cut(self, home: Path) -> Path:
        """A copy of the file as it is now: without what the kernel still holds in memory for the mounted one."""
        copy = home / "after-the-cut"
        _run("cp", "--sparse=always", str(self.image), str(copy))
        return copy


@contextmanager
def ext4(home: Path, *, size: int = 256 * MIB) -> Iterator[Disk]:
    """A new disk of *size* bytes."""
    image = home / "disk"
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    with mounted(image, home / "disk-mount") as mount:
        yield Disk(image, mount)


@contextmanager
def mounted(image: Path, mount: Path) -> Iterator[Path]:
    """The file system in *image*, mounted; its journal is replayed first, as after a cut.

    With the longest commit interval, so that the kernel writes nothing by itself while a copy is taken; what is
    synced is written at once nevertheless.
    """
    with _mount(["-o", "loop,commit=300", str(image)], mount):
        yield mount


@contextmanager
def filled(directory: Path, name: str = "filler") -> Iterator[None]:
    """No block is free on the disk of *directory* until the context ends; the file *name* has them."""
    filler = directory / name
    with filler.open("wb") as file:
        for size in (64 * MIB, MIB, 4096):
            _allocate(file.fileno(), size)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def tmpfs(mount: Path, *, size: int = 64 * MIB, inodes: int = 0) -> Iterator[Path]:
    """A disk in memory, of *size* bytes and at most so many files; 0 for any number."""
    with _mount(["-t", "tmpfs", "-o", f"size={size},nr_inodes={inodes}", "tmpfs"], mount):
        yield mount


@contextmanager
def remounted(mount: Path, mode: str) -> Iterator[None]:
    """The disk at *mount* is mounted ``ro`` until the context ends."""
    _run("mount", "-o", f"remount,{mode}", str(mount))
    try:
        yield
    finally:
        _run("mount", "-o", "remount,rw", str(mount))


def _allocate(descriptor: int, step: int) -> None:
    """Take *step* bytes again and again, until there are no more. Nothing is written, so it costs no time."""
    try:
        while True:
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, step)
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - the end that is wanted


@contextmanager
def _mount(what: Sequence[str], mount: Path) -> Iterator[None]:
    need(os.geteuid() == 0, "root, to mount a disk of its own")
    mount.mkdir(exist_ok=True)
    result = subprocess.run([_tool("mount"), *what, str(mount)], capture_output=True, text=True, check=False)
    need(result.returncode == 0, f"mounts: {result.stderr.strip()}")
    try:
        yield
    finally:
        _run("umount", str(mount))


def _run(name: str, *arguments: str) -> None:
    result = subprocess.run([_tool(name), *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.fail(f"{name}: {result.stderr.strip()}")


def _tool(name: str) -> str:
    found = shutil.which(name, path=PATH)
    need(found, f"{name} on the PATH")
    return str(found)
