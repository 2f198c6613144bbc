"""Runs of outputs: how outcomes are packed, that they come back byte for byte, and that damage is found."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Damaged
from collator.ledgers.sqlite import outruns
from collator.ledgers.sqlite.outruns import MOST, SIZE, RunRow, outputs_of, rows_of, verified
from collator.rules.outcomes import Outcomes
from collator.rules.resource import INDEX_BITS, INDEX_MASK

OUTPUTS = [b"1", b'"a,b"', b"[1, 2]", b' {"a": "]"}\n', b"\t2 ", b'"\xc3\xa9"', b"[ ]", b"null"]

OutcomeRow = tuple[int, bytes | None, str | None, int, int]
"""Key, output or `None`, reason of a failure, attempts, number in its resource."""


def runs_of(outcomes: list[OutcomeRow], *, together: bool = False) -> list[RunRow]:
    """Return *outcomes* packed, given one by one, or *together* those that follow each other."""
    groups: list[Outcomes] = []
    for key, output, reason, attempts, seq in outcomes:
        last = groups[-1] if groups else None
        outputs = [] if output is None else [output]
        row, index = key >> INDEX_BITS, key & INDEX_MASK
        alike = last and (last.resource_row, last.attempts, last.seq + len(last.outputs)) == (row, attempts, seq)
        if together and last and alike and last.outputs and outputs:
            last.indexes.append(index)
            last.outputs += outputs
        else:
            groups.append(Outcomes(row, seq, attempts, [index], outputs, reason))
    return rows_of(groups)


drawn = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([*OUTPUTS, None]), st.integers(1, 2), st.integers(0, 40)), max_size=80
)


def outcomes_of(given_: list[tuple[int, bytes | None, int, int]]) -> list[OutcomeRow]:
    """Outcomes of three resources, numbered one by one; now and then a number is left out."""
    numbers = dict.fromkeys((1, 2, 3), 0)
    found = []
    for place, (resource_row, output, attempts, luck) in enumerate(given_):
        numbers[resource_row] += 2 if luck == 0 else 1
        reason = "no" if output is None else None
        key = resource_row << INDEX_BITS | (place * 7919 & INDEX_MASK)
        found.append((key, output, reason, attempts, numbers[resource_row]))
    return found


def unpacked(row: RunRow) -> list[OutcomeRow]:
    resource_row, seq, attempts, indexes, crc, reason, outputs = row
    if outputs is None:
        (index,) = verified(indexes.encode(), b"", crc)
        return [(resource_row << INDEX_BITS | index, None, reason, attempts, seq)]
    pairs = outputs_of(indexes.encode(), outputs.encode(), crc)
    return [
        (resource_row << INDEX_BITS | index, output, None, attempts, number)
        for number, (index, output) in enumerate(pairs, seq)
    ]


@given(drawn, st.booleans())
def test_outcomes_come_back_as_they_were(given_: list[tuple[int, bytes | None, int, int]], together: bool) -> None:
    outcomes = outcomes_of(given_)
    rows = runs_of(outcomes, together=together)
    by_resource = sorted(outcomes, key=lambda one: one[0] >> INDEX_BITS)
    assert sorted((one for row in rows for one in unpacked(row)), key=lambda one: one[0] >> INDEX_BITS) == by_resource
    for _, some in groupby(sorted(rows, key=lambda row: row[0]), key=lambda row: row[0]):
        numbers = [row[1] for row in some]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("number", "size", "lengths"),
    [
        (MOST + 1, 1, [MOST, 1]),
        (3, SIZE // 2 - 1, [2, 1]),
        (3, SIZE // 2, [1, 1, 1]),
        (2, 2 * SIZE, [1, 1]),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_a_run_has_so_many_outputs_and_bytes_at_most_or_a_single_output(
    *, number: int, size: int, lengths: list[int], together: bool
) -> None:
    outcomes: list[OutcomeRow] = [(index, b"1" * size, None, 1, index + 1) for index in range(number)]
    rows = runs_of(outcomes, together=together)
    assert [len(unpacked(row)) for row in rows] == lengths
    assert [outcome for row in rows for outcome in unpacked(row)] == outcomes
    assert all(len(row[6] or "") <= SIZE + 1 for row in rows if len(unpacked(row)) > 1)


def test_outcomes_of_another_number_of_attempts_failures_and_gaps_end_a_run() -> None:
    outcomes: list[OutcomeRow] = [
        (0, b"0", None, 1, 1),
        (1, b"1", None, 1, 2),
        (2, b"2", None, 2, 3),
        (3, None, "no", 2, 4),
        (4, b"4", None, 2, 5),
        (5, b"5", None, 2, 7),
        (6, b"6", None, 2, 8),
    ]
    assert [(row[1], row[2], row[3], row[6]) for row in runs_of(outcomes)] == [
        (1, 1, "[0,1]", "[0,1]"),
        (3, 2, "[2]", "[2]"),
        (4, 2, "[3]", None),
        (5, 2, "[4]", "[4]"),
        (7, 2, "[5,6]", "[5,6]"),
    ]


def test_outputs_of_resources_that_come_in_turns_are_together() -> None:
    outcomes: list[OutcomeRow] = [
        (resource_row << INDEX_BITS | index, b"0", None, 1, index + 1) for index in range(5) for resource_row in (1, 2)
    ]
    assert [(row[0], row[3]) for row in runs_of(outcomes)] == [(1, "[0,1,2,3,4]"), (2, "[0,1,2,3,4]")]


@pytest.mark.parametrize("indexes", [b"[3,5]", b"[5,3]", b"[3,4", b"[3]", b"[]", b"[3,null]", b"[3,-4]", b"\xff"])
def test_a_change_of_the_indexes_is_found(indexes: bytes) -> None:
    ((_, _, _, _, crc, _, outputs),) = runs_of([(3, b"0", None, 1, 1), (4, b"1", None, 1, 2)])
    with pytest.raises(Damaged, match="does not match its checksum"):
        outputs_of(indexes, (outputs or "").encode(), crc)


@pytest.mark.parametrize("outputs", [b"[0,2]", b"[0 ,1]", b"[0]", b"[0,1", b""])
def test_a_change_of_the_outputs_is_found(outputs: bytes) -> None:
    ((_, _, _, indexes, crc, _, _),) = runs_of([(3, b"0", None, 1, 1), (4, b"1", None, 1, 2)])
    with pytest.raises(Damaged, match="a run of 2 outputs from index 3 on does not match its checksum"):
        outputs_of(indexes.encode(), outputs, crc)


def test_the_checksum_is_that_of_both() -> None:
    assert outruns.checksum(b"[1]", b"[2]") == outruns.checksum(b"[1][2]", b"")
    assert outruns.checksum(b"[1]", b"[2]") != outruns.checksum(b"[2]", b"[1]")
