"""What holds for every test: the event loop, how hard Hypothesis tries, and that Ctrl-C is heard."""

import gc
import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from collator.ledgers.sqlite import reserve

# Repeatable and short, so that a red run is red for everybody. No deadline: a busy machine is no failure.
settings.register_profile("default", derandomize=True, max_examples=50, deadline=None)
# New examples on each run, for the search for bugs, which takes its time:
# HYPOTHESIS_PROFILE=thorough make test PYTEST_ARGS="-o faulthandler_timeout=0"
settings.register_profile("thorough", derandomize=False, max_examples=2_000, deadline=None)
# The shapes of examples, where all of them ran on another Python (.ci/run).
settings.register_profile("brief", derandomize=True, max_examples=6, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# A shell starts what runs in its background with Ctrl-C ignored, and every program that is started from there, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if os.name == "posix":  # nohup ignores the end of the terminal
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Spare each collection of garbage the look at what was made of thousands of tests: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def small_reserves() -> Iterator[None]:
    """Write no 8 MiB for each of thousands of stores; services in processes of their own make reserves as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reserve, "SIZE", 64 * 1024)
        yield


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """Leave no configuration of the log to the next test: the library configures that of the process."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run coroutine tests on asyncio alone: Collator is written for it (of session scope, for fixtures of any)."""
    return ("asyncio", {})
