"""A group of processes that has so much memory and no more: whoever takes more is ended by the kernel."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.requirements import need
from tests.wait import until_sync

ROOTS = {Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes", Path("/sys/fs/cgroup"): "memory.max"}
"""Where groups are made, by the first and the second version of the kernel's interface, and what bounds them."""


@contextmanager
def bounded(limit: int) -> Iterator[Sequence[str]]:
    """What a program is started under that has *limit* bytes, with all that it starts, while the context is open.

    Skips the test at home where this user may make no group, or the kernel has none.
    """
    group = _made(limit)
    need(group, "root, and groups of processes that are bounded in memory")
    assert group
    try:
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        until_sync(lambda: _removed(group))


def _removed(group: Path) -> bool:
    """Remove the group, unless the kernel has not yet let go of all that ran in it."""
    try:
        group.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _made(limit: int) -> Path | None:
    for root, bound in ROOTS.items():
        group = root / f"collator-{uuid4().hex}"
        if sys.platform != "linux" or os.geteuid() != 0 or not (root / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / bound).exists():
            (group / bound).write_text(str(limit))
            return group
        group.rmdir()
    return None
