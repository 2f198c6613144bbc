"""Return of freed memory by the C library: large buffers go back to the system at once.

glibc takes a buffer from the system by itself where it is larger than a threshold, and raises the threshold, up to
32 MiB, to the largest one that was freed (mallopt(3)). From then on a process that once had large bodies keeps what
they left between the small things behind them: after a burst of arrays of 14 MiB a service kept 347 MB, and 239 with
this.
"""

from __future__ import annotations

import ctypes

LARGE = 1024 * 1024
"""Bytes from which on a buffer is the system's. Each costs two system calls, which smaller ones would feel."""
_M_MMAP_THRESHOLD = -3  # malloc.h of glibc; other libraries have no `mallopt`, or know no such option


def return_large_buffers() -> bool:
    """Let buffers of `LARGE` bytes and more go back when they are freed; whether the C library can be told so."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE))
