"""The name of this process as a node, for people."""

from __future__ import annotations

import os
import platform

_LONGEST = 200


def node_name() -> str:
    """The host and the process id, as in ``web-1:4711``."""
    return f"{platform.node()[:_LONGEST] or 'localhost'}:{os.getpid()}"
