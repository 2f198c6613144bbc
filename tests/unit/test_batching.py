"""Group commit: what is in which group, who is the culprit, and who is answered what; with no store at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Broken, Unavailable
from collator.ledgers.batching.answers import BYTES, Answers, answer, resolve
from collator.ledgers.batching.calls import Call, Verb, batches, fail_calls, keep_results
from collator.ledgers.batching.culprits import conclude, halves, parts_of
from collator.ledgers.batching.groups import MAX_GROWTH, MOST_BYTES, Groups
from collator.messages import Act

Items = Sequence[str]
Results = list[str]


class Memory:
    """A store: a list of items, of which some make whoever stores them fail, by their fault or by that of nobody."""

    def __init__(self, poisoned: frozenset[str] = frozenset(), unlucky: frozenset[str] = frozenset()) -> None:
        self.poisoned, self.unlucky = poisoned, unlucky
        self.items: list[str] = []
        self.commits: list[list[str]] = []
        """What each commit was to store."""


def store_all(store: Memory, calls: Sequence[Items]) -> list[Results]:
    for item in [item for call in calls for item in call]:
        store.items.append(item)
        if item in store.poisoned:
            raise ValueError(item)
        if item in store.unlucky:
            raise ConnectionError
    return [[f"{item} stored" for item in call] for call in calls]


def split(items: Items) -> list[tuple[Any, int]]:
    return [(half, len(half)) for half in halves(items)]


def joined(results: Sequence[Results]) -> Results:
    return [one for result in results for one in result]


STORE: Verb[Memory, Results] = Verb(
    store_all, grows=True, split=split, join=joined, isolate=lambda error: [f"{error} refused"]
)
WHOLE: Verb[Memory, Results] = Verb(store_all)
UPKEEP: Verb[Memory, Results] = Verb(store_all, alone=True, gives_way=True)


def call(name: str, verb: Verb[Memory, Results] = WHOLE, size: int = 1, weight: int = 0) -> Call:
    return Call(verb, [name], size, weight)


def names(calls: Sequence[Call]) -> str:
    return "".join(one.arguments[0] for one in calls)


def groups_of(*calls: Call) -> list[str]:
    """The groups of *calls*, which come together."""
    groups, taken = Groups(), list[str]()
    groups.waiting += calls
    while group := groups.take():
        taken.append(names(group))
    return taken


@pytest.mark.parametrize(
    ("calls", "groups"),
    [
        ([], []),
        ([call("a"), call("b", STORE), call("c")], ["abc"]),
        ([call("a", STORE, MAX_GROWTH - 1), call("b", STORE), call("c", STORE), call("d")], ["abd", "c"]),
        ([call("a", WHOLE, 9 * MAX_GROWTH), call("b", WHOLE, 9 * MAX_GROWTH), call("c", STORE)], ["abc"]),
        ([call("a", STORE, 9 * MAX_GROWTH), call("b", STORE), call("c", STORE)], ["a", "bc"]),
        ([call("a", weight=MOST_BYTES), call("b", weight=1), call("c")], ["ac", "b"]),
        ([call("a", weight=MOST_BYTES - 1), call("b", weight=1), call("c", weight=1)], ["ab", "c"]),
        ([call("a", weight=9 * MOST_BYTES), call("b", weight=9 * MOST_BYTES)], ["a", "b"]),
    ],
)
def test_a_group_has_all_that_waits_but_what_is_beyond_its_share(calls: list[Call], groups: list[str]) -> None:
    assert groups_of(*calls) == groups


def test_what_gives_way_and_the_others_take_turns() -> None:
    assert groups_of(*[call(name, UPKEEP) for name in "ABC"], call("a"), call("b")) == ["A", "ab", "B", "C"]
    groups, taken = Groups(), list[str]()
    groups.waiting += [call(name, UPKEEP) for name in "ABC"]
    for name in "abcdef":  # others come all the time
        groups.waiting.append(call(name))
        taken.append(names(groups.take()))
    assert taken == ["A", "ab", "B", "cd", "C", "ef"]


def test_what_gives_way_is_next_where_the_others_had_a_turn_without_it() -> None:
    groups, taken = Groups(), list[str]()
    for calls in ([call("A", UPKEEP)], [call("a")], [call("B", UPKEEP), call("b")]):
        groups.waiting += calls
        taken.append(names(groups.take()))
    assert taken == ["A", "a", "B"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([STORE, WHOLE, UPKEEP]),
            st.integers(0, 2 * MAX_GROWTH),
            st.sampled_from([0, 1, MOST_BYTES // 2, MOST_BYTES, 2 * MOST_BYTES]),
        )
    )
)
def test_every_call_is_in_one_group_and_no_group_has_more_than_its_share(
    given_calls: list[tuple[Verb[Memory, Results], int, int]],
) -> None:
    groups, taken = Groups(), list[list[Call]]()
    calls = [Call(verb, number, size, weight) for number, (verb, size, weight) in enumerate(given_calls)]
    groups.waiting += calls
    while group := groups.take():
        taken.append(group)
        growing, heavy = [one for one in group if one.verb.grows], [one for one in group if one.weight]
        assert len(growing) <= 1 or sum(one.size for one in growing) <= MAX_GROWTH or growing[0].size > MAX_GROWTH
        assert len(heavy) <= 1 or sum(one.weight for one in heavy) <= MOST_BYTES
        assert len(group) == 1 or not any(one.verb.gives_way for one in group)
    assert sorted(one.arguments for group in taken for one in group) == [*range(len(calls))]
    assert [one.arguments for group in taken for one in group if one.verb is UPKEEP] == [
        one.arguments for one in calls if one.verb is UPKEEP
    ]


def test_the_calls_of_a_verb_are_one_batch_unless_it_is_alone() -> None:
    calls = [call("a"), call("b", STORE), call("c"), call("D", UPKEEP), call("E", UPKEEP), call("f", STORE)]
    assert [names(batch) for batch in batches(calls)] == ["ac", "bf", "D", "E"]


def commit(store: Memory, group: Sequence[Call]) -> None:
    """Commit *group*, as a ledger does."""
    before = [*store.items]
    store.commits.append([item for one in group for item in one.arguments])
    try:
        for calls in batches(group):
            results: Any = calls[0].verb.step(store, [one.arguments for one in calls])
            keep_results(calls, results)
    except ConnectionError:
        store.items = before
        fail_calls(group, Unavailable("not now"))
    except ValueError as error:
        store.items = before
        parts = parts_of(group)
        for part in parts:
            commit(store, part)
        conclude(group, parts, error)


SIZES = st.lists(st.tuples(st.sampled_from([STORE, WHOLE]), st.integers(1, 9)), min_size=1, max_size=8)


@given(SIZES, st.data())
def test_the_culprits_and_nobody_else_have_an_error(sizes: list[tuple[Verb[Memory, Results], int]], data: Any) -> None:  # noqa: ANN401
    calls = [
        Call(verb, [f"{number}.{item}" for item in range(size)], size) for number, (verb, size) in enumerate(sizes)
    ]
    items = [item for one in calls for item in one.arguments]
    poisoned = frozenset(data.draw(st.sets(st.sampled_from(items))))
    store = Memory(poisoned)
    commit(store, calls)
    stored = list[str]()
    for one in calls:
        if one.verb is STORE:
            assert one.result == [f"{item} {'refused' if item in poisoned else 'stored'}" for item in one.arguments]
            stored += [item for item in one.arguments if item not in poisoned]
        elif poisoned.intersection(one.arguments):
            assert isinstance(one.result, Broken)
        else:
            assert one.result == [f"{item} stored" for item in one.arguments]
            stored += one.arguments
    assert sorted(store.items) == sorted(stored), "stored once, and no culprit"
    halvings = (len(calls) - 1).bit_length() + (max(one.size for one in calls) - 1).bit_length()
    assert len(store.commits) <= 1 + 2 * len(poisoned) * halvings


@pytest.mark.parametrize("size", [2, 3, 5, 7])
def test_an_error_that_meets_everything_is_told_of_each_item_once(size: int) -> None:
    items = [str(number) for number in range(size)]
    store, one = Memory(frozenset(items)), Call(STORE, items, size)
    commit(store, [one])
    assert one.result == [f"{item} refused" for item in items]
    assert all(store.commits), "a commit of nothing may fail too, and would be told of as one item more"


def test_a_call_of_which_a_part_met_another_error_has_that_error() -> None:
    store, one, other = Memory(frozenset("b"), frozenset("d")), Call(STORE, "abcd", 4), Call(STORE, "e")
    commit(store, [one, other])
    assert isinstance(one.result, Unavailable)
    assert other.result == ["e stored"]


def test_each_caller_has_an_error_of_its_own() -> None:
    calls = [call(name) for name in "ab"]
    fail_calls(calls, Unavailable("not now"))
    assert calls[0].result is not calls[1].result


def test_what_was_changed_is_kept_of_calls_that_are_steps_of_an_act() -> None:
    verb: Verb[Memory, Results] = Verb(store_all, changed=lambda arguments, result: len(arguments) + len(result))
    act = Act(verb="cancel", who="somebody", peer="", target="r")
    calls = [Call(verb, "abc", act=act), Call(verb, "de")]
    keep_results(calls, store_all(Memory(), ["abc", "de"]))
    assert [one.changed for one in calls] == [6, None]
    resolve(calls, lambda _result: None)
    assert (act.changed, act.stored) == (6, True)
    fail_calls(calls, Unavailable("not now"))
    resolve(calls, lambda _result: None)
    assert act.changed == 6, "what failed after all changed nothing"


def operation(name: str, result: object = None) -> Call:
    one = Call(WHOLE, [name], operation=name)
    one.result = result
    return one


def test_an_operation_that_comes_twice_in_a_group_waits_for_its_answer() -> None:
    answers, first, again, other = Answers(), operation("o"), operation("o"), call("x")
    assert answers.split([first, again, other]) == ([first, other], [again])
    first.result = "done"
    answers.keep_of([first, other])
    assert answers.split([again]) == ([], [])
    assert again.result == "done"


def test_an_operation_that_failed_is_executed_again() -> None:
    answers, again = Answers(), operation("o")
    answers.keep_of([operation("o", Unavailable("not now"))])
    assert answers.split([again]) == ([again], [])


def test_no_answer_is_kept_of_calls_that_are_no_operation() -> None:
    answers = Answers()
    answers.keep_of([call("x")])
    assert "" not in answers


def test_as_many_answers_are_kept_as_fit() -> None:
    answers = Answers()
    for name in "abc":
        answers.keep(name, name, BYTES // 2)
    assert [name in answers for name in "abc"] == [False, True, True]


async def test_callers_are_answered_on_their_loops_and_who_has_gone_is_told_of() -> None:
    loop, closed, orphans = asyncio.get_running_loop(), asyncio.new_event_loop(), list[object]()
    calls = [call(name) for name in "abcd"]
    for one, at in zip(calls, [loop, loop, loop, closed], strict=True):
        one.loop, one.future, one.result = at, at.create_future(), names([one])
    closed.close()
    kept, failed, cancelled = [one.future for one in calls[:3] if one.future is not None]
    calls[1].result = Unavailable("not now")
    cancelled.cancel()
    await asyncio.to_thread(answer, [*calls, call("posted")], orphans.append)
    assert await kept == "a"
    with pytest.raises(Unavailable):
        await failed
    assert orphans == ["c"]


class Node:
    """A node whose store is reached over a network: its commits are awaited, on the loop of its callers."""

    def __init__(self, store: Memory) -> None:
        self.store, self.groups, self.answers = store, Groups(), Answers()
        self.commit = asyncio.Event()
        """Whether commits get on."""
        self._committing: asyncio.Task[None] | None = None

    def call(self, verb: Verb[Memory, Results], items: Items, operation: str = "") -> Awaitable[Results]:
        one = Call(verb, items, len(items), operation=operation)
        future = one.future = asyncio.get_running_loop().create_future()
        self.groups.waiting.append(one)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        while group := self.groups.take():
            first, again = self.answers.split(group)
            self.groups.waiting += again
            await self._commit(first)
            self.answers.keep_of(first)
            resolve([one for one in group if one not in again], lambda _result: None)

    async def _commit(self, group: Sequence[Call]) -> None:
        before = [*self.store.items]
        try:
            for calls in batches(group):
                results: Any = await calls[0].verb.step(self.store, [one.arguments for one in calls])  # type: ignore[misc]
                keep_results(calls, results)
            await self.commit.wait()
        except ValueError as error:
            self.store.items = before
            parts = parts_of(group)
            for part in parts:
                await self._commit(part)
            conclude(group, parts, error)
        else:
            self.store.commits.append([item for one in group for item in one.arguments])


def awaited(step: Callable[[Memory, Sequence[Items]], list[Results]]) -> Verb[Memory, Results]:
    async def asked(store: Memory, calls: Sequence[Items]) -> list[Results]:
        await checkpoint()
        return step(store, calls)

    return Verb(asked, grows=True, split=split, join=joined, isolate=lambda error: [f"{error} refused"])


async def test_a_node_that_awaits_its_commits_gathers_calls_with_the_same_code() -> None:
    node, verb = Node(Memory(frozenset("c"))), awaited(store_all)
    first = node.call(verb, "a")
    await checkpoint()
    others = [node.call(verb, items, operation="o" * (items == "f")) for items in ("bcd", "e", "f", "f")]
    node.commit.set()
    assert await first == ["a stored"]
    assert await asyncio.gather(*others) == [
        ["b stored", "c refused", "d stored"],
        ["e stored"],
        ["f stored"],
        ["f stored"],
    ]
    assert sorted(node.store.items) == [*"abdef"]
    assert node.store.commits[0] == ["a"]
