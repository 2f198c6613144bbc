"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collator.backoff import SCHEDULE
from collator.messages import LOG
from collator.settings import EndpointSettings, load, options_of
from collator.states import DELIVERY_STEPS, PACKET_STEPS, RESOURCE_STEPS, StepTable, diagram

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("table", [RESOURCE_STEPS, PACKET_STEPS, DELIVERY_STEPS])
def test_the_diagrams_are_printed_from_the_tables(table: StepTable) -> None:
    assert diagram(table) in (ROOT / "ARCHITECTURE.md").read_text()


@pytest.mark.parametrize("page", [path.name for path in sorted((ROOT / "docs").glob("*.md"))])
def test_every_configuration_in_the_docs_is_one(page: str, tmp_path: Path) -> None:
    for example in re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / "collator.toml").write_text(example)
        load(environ={}, config=str(tmp_path / "collator.toml"))


def test_the_docs_have_an_example_of_every_key_of_an_endpoint(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "endpoints.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "collator.toml").write_text(example)
    crm, archive = load(environ={}, config=str(tmp_path / "collator.toml")).endpoints
    assert [name for name in options_of(EndpointSettings) if getattr(crm, name) is None] == []
    assert (crm.match, crm.timeout, archive.match, archive.timeout) == ("call-*", 30.0, "*", None)


def test_the_docs_say_the_schedule_and_the_states_of_deliveries() -> None:
    text = (ROOT / "docs" / "endpoints.md").read_text()
    assert diagram(DELIVERY_STEPS) in text
    assert f"After {len(SCHEDULE)} attempts" in text
    assert f"its last {LOG} attempts" in text


def test_every_module_of_the_root_has_its_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    modules = [path for path in (ROOT / "src" / "collator").iterdir() if not path.name.startswith(("_", "py.typed"))]
    missing = [path.name for path in modules if path.name not in text and path.stem != "testing"]
    assert not missing, f"ARCHITECTURE.md does not say what lives in {missing}"
