"""What is pinned: the demo runs on the versions that are tested, and nothing says where from they come."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pins(name: str) -> set[str]:
    """The libraries in the file *name*, with their versions and hashes."""
    return {re.sub(r"\s*#.*", "", pin).strip() for pin in re.split(r"\n(?=[a-z])", (ROOT / name).read_text())[1:]}


def test_the_demo_runs_on_the_libraries_that_are_tested() -> None:
    assert pins("requirements.txt") <= pins("requirements-dev.txt")
    assert any(pin.startswith("apsw==") and "--hash=sha256:" in pin for pin in pins("requirements.txt"))


def test_no_pin_says_where_it_comes_from() -> None:
    for path in ROOT.glob("requirements*.txt"):
        assert "://" not in path.read_text(), f"{path.name} names an index, which everyone chooses for himself"
