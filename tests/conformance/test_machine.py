"""The machine, run on every ledger: whatever the order of verbs, the ledger says what the model says."""

from __future__ import annotations

import pytest

from tests.conformance.machine_ends import run_machine
from tests.conformance.store import NewStore


@pytest.mark.one_holder
def test_the_ledger_agrees_with_the_model_after_every_step(new_store: NewStore) -> None:
    run_machine(new_store)
