"""What a test may ask of the machine: a missing service skips at home and fails in CI.

A skip in CI would go unseen for ever; a failure at home would punish those who only want to try a change.
"""

import os

import pytest


def need(condition: object, what: str) -> None:
    """Go on if the condition holds; else skip the test, or fail it where CI is "true".

    ``what`` completes the sentence "this test needs …", for example "strace on the PATH".
    """
    if condition:
        return
    message = f"this test needs {what}"
    if os.environ.get("CI") == "true":
        pytest.fail(message + ", and CI must have it (.ci/run installs it)", pytrace=False)
    pytest.skip(message)
