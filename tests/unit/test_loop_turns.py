"""Large pieces of work run one in a turn of the event loop, and the callers by turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise

from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from collator.json_text import Steps
from collator.web.loop_turns import LoopTurns


async def all_done(round_robin: LoopTurns, callers: Iterable[str]) -> list[tuple[int, str]]:
    """Whose piece ran in which turn of the loop, where *callers* wait for a piece each, in this order."""
    ran: list[tuple[int, str]] = []
    count, over = 0, False

    async def one(who: str) -> None:
        await round_robin.turn(who)
        ran.append((count, who))

    def turned() -> None:
        nonlocal count
        count += 1
        if not over:
            asyncio.get_running_loop().call_soon(turned)

    asyncio.get_running_loop().call_soon(turned)
    await asyncio.gather(*(one(who) for who in callers))
    over = True
    return ran


@given(st.lists(st.sampled_from("abcde"), max_size=30))
def test_one_piece_runs_in_a_turn_of_the_loop_and_none_has_two_before_another_has_one(
    callers: list[str],
) -> None:
    ran = asyncio.run(all_done(LoopTurns(), callers))
    assert sorted(who for _, who in ran) == sorted(callers)
    assert len({turn for turn, _ in ran}) == len(ran)
    for who in set(callers):
        for other in set(callers) - {who}:
            order = [name for _, name in ran if name in {who, other}]
            both = 2 * min(order.count(who), order.count(other))
            assert all({*order[at : at + 2]} == {who, other} for at in range(0, both, 2))


async def test_who_goes_while_he_waits_takes_no_turn() -> None:
    round_robin = LoopTurns()
    gone = [asyncio.create_task(round_robin.turn("a")) for _ in range(3)]
    await checkpoint()
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    assert await all_done(round_robin, "bab") != []


async def test_steps_are_taken_in_turns_up_to_their_result() -> None:
    taken: list[str] = []

    def steps(who: str) -> Steps[str]:
        for _ in range(3):
            taken.append(who)
            yield ()
        return who.upper()

    round_robin = LoopTurns()
    results = await asyncio.gather(round_robin.drive("a", steps("a")), round_robin.drive("b", steps("b")))
    assert [*results] == ["A", "B"]
    assert taken == [*"ababab"]


async def test_a_pause_passes_before_each_piece_of_whichever_callers() -> None:
    loop, round_robin, times = asyncio.get_running_loop(), LoopTurns(pause=0.01), list[float]()

    async def one(who: str) -> None:
        await round_robin.turn(who)
        times.append(loop.time())

    begin = loop.time()
    await asyncio.gather(*(one(who) for who in "aabc"))
    assert all(later - earlier > 0.009 for earlier, later in pairwise([begin, *times]))
