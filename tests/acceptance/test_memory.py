"""What a service keeps of requests that it does not take, as its process shows (P5)."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.programs import Program, serving

MIB = 1024 * 1024
LINES = 90
GROWTH = 32 * MIB
"""The most that the process may grow by, at its highest."""

LINE = b"x" * (MIB - 100)
FAULTS = {
    "an unknown member": b'{"%s":1}\n' % LINE,
    "an unknown member of escapes": b'{"%s":1}\n' % (b"\\u001b" * (MIB // 6 - 20)),
    "no JSON": b'{"resource_id":"%s\n' % LINE,
    "a long id": b'{"resource_id":"%s","index":0,"payload":1}\n' % LINE,
    "a value of another type": b'{"resource_id":"r","index":"%s","payload":1}\n' % LINE,
    "a line that is too long": b'"%s"\n' % (LINE * 2),
}

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells the memory")


def highest(program: Program) -> int:
    """The most memory that the process of *program* ever had, in bytes."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def post(url: str, path: str, lines: Iterator[bytes]) -> tuple[int, bytes]:
    """Send *lines* as one stream; the status and the answer."""
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=30)
    connection.request("POST", path, lines, {"content-type": "application/x-ndjson"}, encode_chunked=True)
    answer = connection.getresponse()
    said = answer.status, answer.read()
    connection.close()
    return said


@pytest.mark.parametrize("path", ["/v1/packets", "/v1/packets?receipts=all"])
def test_p5_lines_of_a_megabyte_that_are_no_packets_leave_nothing_behind(tmp_path: Path, path: str) -> None:
    with serving(tmp_path) as (program, url):
        post(url, path, iter([b'{"resource_id":"r","index":0,"payload":1}\n']))
        before = highest(program)
        for name, line in FAULTS.items():
            status, answer = post(url, path, iter([line] * (LINES // len(FAULTS) + 1)))
            assert status in {200, 422}, (name, answer[:300])
            assert len(answer) < 64 * 1024, name
        grown = highest(program) - before
        assert grown <= GROWTH, f"{grown / MIB:.0f} MiB"
