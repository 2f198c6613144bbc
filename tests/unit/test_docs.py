"""The documentation says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from collator.states import DELIVERY_STEPS, PACKET_STEPS, RESOURCE_STEPS, Table, diagram

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("table", [RESOURCE_STEPS, PACKET_STEPS, DELIVERY_STEPS])
def test_the_diagrams_are_printed_from_the_tables(table: Table) -> None:
    assert diagram(table) in (ROOT / "ARCHITECTURE.md").read_text()


def test_every_module_of_the_root_has_its_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    modules = [path for path in (ROOT / "src" / "collator").iterdir() if not path.name.startswith(("_", "py.typed"))]
    missing = [path.name for path in modules if path.name not in text and path.stem != "testing"]
    assert not missing, f"ARCHITECTURE.md does not say what lives in {missing}"
