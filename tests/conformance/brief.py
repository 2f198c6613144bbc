"""Which tests are left to ``make test-cluster``: those that repeat one on a ledger that is tested in brief."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.conformance.harness import Harness


def leave_repeats(tests: Iterable[tuple[pytest.Item, type[Harness[Any]]]]) -> None:
    """Mark all of *tests*, each with its ledger, but the first variant of each function of a module that is chosen."""
    seen = set[tuple[str, type[Harness[Any]]]]()
    for item, harness in tests:
        test = item.nodeid.partition("[")[0], harness
        left_out = harness.chosen is not None and item.path.stem not in harness.chosen
        if harness.brief and (test in seen or left_out):
            item.add_marker(pytest.mark.cluster)
        seen.add(test)
