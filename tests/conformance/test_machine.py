"""The machine, run on every ledger: whatever the order of verbs, the ledger says what the model says."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.machine_ends import LedgerMachine
from tests.conformance.store import NewStore

# Repeatable examples are shown as they were found, since to shrink one takes minutes; HYPOTHESIS_PROFILE=thorough
# looks for new ones and shrinks them.
PHASES = (Phase.explicit, Phase.generate) if settings().derandomize else settings().phases


@pytest.mark.one_holder
def test_the_ledger_agrees_with_the_model_after_every_step(new_store: NewStore) -> None:
    class OneLedger(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(new_store)

    run_state_machine_as_test(OneLedger, settings=settings(stateful_step_count=50, phases=PHASES))
