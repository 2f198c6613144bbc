"""What holds for every test: the event loop, and how hard Hypothesis tries."""

import os

import pytest
from hypothesis import settings

# Repeatable and short, so that a red run is red for everybody. No deadline: a busy machine is no failure.
settings.register_profile("default", derandomize=True, max_examples=50, deadline=None)
# New examples on each run, for the search for bugs: HYPOTHESIS_PROFILE=thorough make test
settings.register_profile("thorough", derandomize=False, max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run coroutine tests on asyncio alone: Collator is written for it (of session scope, for fixtures of any)."""
    return ("asyncio", {})
