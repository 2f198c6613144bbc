"""Standard input, output and error, which every program takes for granted, and some programs are started without.

Where one of the descriptors 0 to 2 is missing, the next file that is opened gets its number: a database or a socket,
into which any code that prints would write, and which some libraries refuse to close.
"""

from __future__ import annotations

import os
import sys

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_missing() -> None:
    """Open those that are missing on the null device. To be called before anything else is opened."""
    for descriptor, (name, mode) in enumerate(_MODES.items()):
        if _is_open(descriptor):
            continue
        opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library takes it so
        setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
