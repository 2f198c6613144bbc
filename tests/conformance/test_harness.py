"""The suite itself: it takes harnesses by its option, and its tests of two nodes pass and fail where they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from tests.conformance import test_nodes
from tests.conformance.sqlite_harness import SqliteHarness

ROOT = Path(__file__).parents[2]
NODES, RACES = "tests/conformance/test_nodes.py", "tests/conformance/test_races.py"
FOUND_BY = {
    "StopsForAll": f"{NODES}::test_a_clean_stop_leaves_the_leases_of_the_other_node_alone[stops-for-all]",
    "KeepsTheDead": f"{NODES}::test_p7_what_a_dead_holder_had_comes_back[keeps-the-dead]",
    "RecordsItsOwn": f"{NODES}::test_p2_an_outcome_counts_once_whichever_node_records_it[records-its-own]",
    "SeesWhatItSaw": f"{RACES}::test_a_packet_is_handed_out_once_to_claims_at_the_same_time[sees-what-it-saw-2]",
}
FOUND_TOO = [
    f"{NODES}::test_r13_two_nodes_that_look_for_silence_at_once_close_each_resource_once[sees-what-it-saw]",
    f"{NODES}::test_r25_two_nodes_that_purge_at_once_forget_all_and_nothing_twice[sees-what-it-saw]",
]


class Absent(SqliteHarness):
    """A ledger whose server this machine does not have."""

    name: ClassVar[str] = "absent"

    @classmethod
    def needs(cls) -> str | None:
        return "a server that nobody has"


def suite(harnesses: list[str], tests: list[str], *, ci: bool = False) -> list[str]:
    """Run *tests* with *harnesses*: the lines of the report that say how each ended."""
    options = [f"--ledger-harness={harness}" for harness in harnesses]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        *options,
        *tests,
    ]
    environment = {**os.environ, "CI": "true" if ci else ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.splitlines()


def test_tests_of_two_nodes_pass_where_nodes_do_as_they_must_and_find_each_mistake() -> None:
    sound = [f"{NODES}::{name}[sound]" for name in vars(test_nodes) if name.startswith("test_")]
    sound += [
        f"{RACES}::test_a_packet_is_handed_out_once_to_claims_at_the_same_time[sound{times}]" for times in ("", "-2")
    ]
    harnesses = [f"tests.conformance.two_handles:{name}" for name in ("TwoHandles", *FOUND_BY)]
    mistakes = [*FOUND_BY.values(), *FOUND_TOO]
    told = suite(harnesses, [*sound, *mistakes])
    assert sorted(line for line in told if line.startswith("PASSED ")) == sorted(f"PASSED {test}" for test in sound)
    assert sorted(line.split(" - ")[0] for line in told if line.startswith("FAILED ")) == sorted(
        f"FAILED {test}" for test in mistakes
    )


def test_what_no_ledger_can_do_is_counted_and_a_missing_server_skips_at_home_and_fails_in_ci() -> None:
    harness = ["tests.conformance.test_harness:Absent"]
    a_test = f"{RACES}::test_r7_of_equal_packets_at_the_same_time_one_is_accepted[absent]"
    *told, summary = suite(harness, [NODES, a_test])
    assert "this test needs a server that nobody has" in "\n".join(told)
    number = sum(name.startswith("test_") for name in vars(test_nodes))
    assert f"1 skipped, {number} deselected" in summary
    assert [line for line in suite(harness, [a_test], ci=True) if line.startswith("ERROR ")]
