"""Whose packets wait, about."""

from __future__ import annotations

import pytest

from collator.backlog import Backlog

MOST = 9000


class Store:
    """A backlog that fills, and drains as a processor does that takes the oldest first."""

    def __init__(self) -> None:
        self.backlog = Backlog(MOST)
        self.waiting: list[tuple[str, int]] = []

    @property
    def size(self) -> int:
        return sum(size for _, size in self.waiting)

    def send(self, who: str, size: int = 100) -> str:
        """Why it is not taken."""
        if self.backlog.unsure(size):
            self.backlog.waits(self.size)
            if why_not := self.backlog.why_not(who):
                return why_not
        if self.size + size > MOST:
            return "full"
        self.backlog.add(who, size)
        self.waiting.append((who, size))
        return ""

    def fill(self, who: str) -> str:
        while not (why_not := self.send(who)):
            pass
        return why_not

    def process(self, size: int) -> None:
        while size > 0 and self.waiting:
            size -= self.waiting.pop(0)[1]


def test_one_who_is_alone_fills_eight_ninths_and_others_go_on() -> None:
    store = Store()
    assert store.fill("greedy") == (
        "backlog: 'greedy' has used its share, about 8100 of 9000 bytes (max_backlog); "
        "the rest is reserved for other callers"
    )
    for _ in range(5):
        assert store.send("honest") == ""
    assert store.send("greedy")


@pytest.mark.parametrize("processed", [200, 1000])
def test_an_honest_one_goes_on_for_as_long_as_a_greedy_one_fills_what_is_free(processed: int) -> None:
    store = Store()
    for _ in range(500):
        store.fill("greedy")
        assert store.send("honest", 20) == ""
        store.process(processed)


def test_who_sent_much_once_may_send_again_once_it_is_processed() -> None:
    store = Store()
    for _ in range(1000):
        assert store.send("honest") == ""
        store.process(100)
    for _ in range(60):
        assert store.send("other") == ""
    assert store.send("honest") == ""


def test_nobody_in_particular_has_no_share() -> None:
    store = Store()
    assert store.fill("") == "full"


def test_callers_are_bounded() -> None:
    backlog = Backlog(MOST)
    for number in range(20_000):
        backlog.add(str(number), 1)
    assert len(backlog._sent) == 10_000
    backlog.waits(0)
    assert (len(backlog._sent), backlog._sum) == (0, 0)
