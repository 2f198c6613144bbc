"""A group of processes that has so much memory and no more: whoever takes more is ended by the kernel."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.requirements import need
from tests.wait import until_sync

ROOTS = {
    Path("/sys/fs/cgroup/memory"): ("memory.limit_in_bytes", "memory.oom_control"),
    Path("/sys/fs/cgroup"): ("memory.max", "memory.events"),
}
"""Where groups are made, by the first and the second version of the kernel's interface; what bounds them, and what
tells whether a process was ended for it."""


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
        (told,) = [group / told for _, told in ROOTS.values() if (group / told).exists()]
        assert re.search(r"^oom_kill 0$", told.read_text(), re.MULTILINE), told.read_text()
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
    for root, (bound, _) in ROOTS.items():
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
