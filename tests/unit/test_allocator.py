"""Memory that was freed goes back to the system, whatever came before and behind it."""

import subprocess
import sys

import pytest

from collator import allocator

SCRIPT = """
import sys
from pathlib import Path
from collator import allocator

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

assert allocator.return_large_buffers() or sys.exit("not glibc")
bytearray(b"x" * (30 << 20))  # glibc would raise its threshold
before, large, small = resident(), [], []
for number in range(20):
    large.append(bytearray(b"x" * (8 << 20)))
    small.append([bytes(600 + number) for _ in range(2000)])  # keeps what is before it from the end of the heap
large.clear()
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_p5_large_buffers_that_are_freed_are_not_kept() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    if run.stderr.strip() == "not glibc":
        pytest.skip("another C library")
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 64, "MiB; small things take 26, and 130 stayed without it"


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not allocator.return_large_buffers()
