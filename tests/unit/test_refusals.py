"""What is known of packets that a service did not take, in a time that the test makes (R27)."""

from __future__ import annotations

from collator.messages import Key
from collator.processor import Sign
from collator.workers.refusals import LONGEST_DELAY, MOST, RefusedPackets, Verdict

PATIENCE = 3600.0


def key(index: int) -> Key:
    return Key("r", bytes(16), index)


def refusals() -> RefusedPackets:
    return RefusedPackets(patience=PATIENCE, least=4)


def test_while_nobody_is_answered_every_packet_goes_back_at_once() -> None:
    known = refusals()
    signs = [Sign.AWAY, Sign.BROKEN, Sign.OVERLOADED, Sign.MISCONFIGURED]
    assert {known.refuse(key(0), sign, 1.0).delay for sign in signs} == {0.0}
    assert not known.refuse(key(0), Sign.BROKEN, 2.0).counted


def test_a_packet_that_is_refused_while_others_are_answered_waits_longer_each_time() -> None:
    known, delays = refusals(), []
    for turn in range(12):
        delays.append(known.refuse(key(0), Sign.OVERLOADED, float(turn)).delay)
        known.answer(key(1))
    assert delays[:5] == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert max(delays) == delays[-1] == LONGEST_DELAY


def test_one_answer_to_others_speaks_against_a_packet_once() -> None:
    known = refusals()
    known.refuse(key(0), Sign.BROKEN, 0.0)
    known.answer(key(1))
    assert known.refuse(key(0), Sign.BROKEN, 1.0) == Verdict(0.25, counted=True)
    assert known.refuse(key(0), Sign.BROKEN, 2.0) == Verdict()


def test_only_a_broken_connection_is_held_against_a_packet() -> None:
    known = refusals()
    for sign in Sign.OVERLOADED, Sign.MISCONFIGURED, Sign.AWAY, Sign.SHORTAGE:
        known.refuse(key(0), sign, 0.0)
        known.answer(key(1))
        assert not known.refuse(key(0), sign, 1.0).counted


def test_a_packet_that_breaks_connections_while_others_are_answered_is_to_blame() -> None:
    known = refusals()
    assert not known.refuse(key(0), Sign.BROKEN, 0.0).counted
    known.answer(key(1))
    assert known.refuse(key(0), Sign.BROKEN, 1.0).counted


def test_patience_ends_in_time_but_not_before_a_number_of_calls() -> None:
    known = refusals()
    assert not known.refuse(key(0), Sign.AWAY, 0.0).over
    assert [known.refuse(key(0), Sign.AWAY, 2 * PATIENCE).over for _ in range(3)] == [False, False, True]
    assert len(known) == 0
    for turn in range(9):
        assert not known.refuse(key(1), Sign.AWAY, PATIENCE / 10 * turn).over
    assert known.refuse(key(1), Sign.AWAY, PATIENCE).over


def test_an_answer_forgets_what_was() -> None:
    known = refusals()
    for turn in range(8):
        known.refuse(key(0), Sign.AWAY, float(turn))
    known.answer(key(0))
    assert known.refuse(key(0), Sign.AWAY, 2 * PATIENCE) == Verdict()


def test_p5_the_number_of_packets_that_are_known_is_bounded() -> None:
    known = refusals()
    for index in range(MOST + 10):
        known.refuse(key(index), Sign.AWAY, 0.0)
    assert len(known) == MOST
