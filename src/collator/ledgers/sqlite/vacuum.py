"""The file gives back to the disk what was forgotten: little by little, when a purge has nothing else to do.

Free pages are used again first, so some are kept: a store that forgets as much as it takes never gets here. Pages from
the end of the file move to free places before it, and the file is cut at the next checkpoint. How long a page takes
grows with the free ones among which its place is sought, so the time is bounded too, and not the number alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from collator.ledgers.sqlite.slices import Slice
from collator.ledgers.sqlite.store import Store

SPARE = 4
"""One page in so many may be free: what comes next finds room, and the file does not grow again at once."""
PAGES = 1000
"""Pages in one step, at most: 4 MiB, in 3 to 14 ms where 90,000 were free."""
FREE_SHARE = 32 * 1024 * 1024
"""Bytes free on the disk, below which nothing is moved: what moves is written to the log first."""


def shrink(store: Store, time: Slice) -> None:
    """Give back some free pages, if there are many, as long as *time* lasts."""
    connection = store.connection
    if connection.pragma("freelist_count") * SPARE <= connection.pragma("page_count"):
        return
    if shutil.disk_usage(Path(connection.filename).parent).free < FREE_SHARE:
        return
    for _page in connection.execute(f"pragma incremental_vacuum({PAGES})"):
        if not time.lasts():
            return
