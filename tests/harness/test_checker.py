"""The checker is not blind: it complains about each way in which a history can be broken, and about no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from collator.clock import SystemClock
from collator.ledgers.sqlite import open_ledger
from collator.messages import Batch, Output, tasks_of
from collator.packet import PacketLimits
from collator.rules.resource import LedgerLimits
from collator.wire import decode_array
from tests.harness.checker import complaints
from tests.harness.history import History, Packet, payload_of
from tests.harness.sink import Webhook
from tests.harness.store import store_complaints

PACKETS = 4


class Case:
    """A history in which all is well: two resources, sent, acknowledged and delivered; one of them incomplete."""

    def __init__(self) -> None:
        self.history = History()
        self.packets = [Packet(name, index, payload_of(name, index)) for name in "ab" for index in range(PACKETS)]
        self.history.sending(self.packets)
        for packet in self.packets:
            self.history.answered(packet.key, "accepted")
        outputs = [[packet.output for packet in self.packets if packet.resource_id == name] for name in "ab"]
        partial = [{"index": index, "output": output} for index, output in enumerate(outputs[1]) if index != 2]
        failed = [{"index": 2, "reason": "it broke", "attempts": 3}]
        self.whole: Any = {
            "type": "resource.collated",
            "data": {"resource_id": "a", "total": PACKETS, "outputs": outputs[0]},
        }
        self.part: Any = {
            "type": "resource.incomplete",
            "data": {
                "resource_id": "b",
                "total": PACKETS,
                "partial": partial,
                "missing": [],
                "unfinished": [],
                "failed": failed,
            },
        }
        self.more: list[Webhook] = []

    def complaints(self, at_least: int = 2 * PACKETS) -> list[str]:
        webhooks = [Webhook("msg_a", json.dumps(self.whole).encode()), Webhook("msg_b", json.dumps(self.part).encode())]
        return complaints(self.history, [*webhooks, *self.more], at_least=at_least)


def lost_output(case: Case) -> None:
    case.whole["data"]["outputs"].pop()


def lost_resource(case: Case) -> None:
    case.history.sending([Packet("c", 0, "w")])
    case.history.answered(("c", 0), "accepted")


def lost_failure(case: Case) -> None:
    case.part["data"].update(failed=[], missing=[[2, 2]])


def silent_failure(case: Case) -> None:
    case.part["data"]["failed"][0]["reason"] = ""


def never_taken(case: Case) -> None:
    lost_resource(case)
    body = {"type": "resource.collated", "data": {"resource_id": "c", "total": 1, "outputs": [[1]]}}
    case.more.append(Webhook("msg_c", json.dumps(body).encode(), answer=500))


def taken_as_new(case: Case) -> None:
    case.history.answered(("a", 0), "accepted")


def reordered(case: Case) -> None:
    case.whole["data"]["outputs"].reverse()


def doubled(case: Case) -> None:
    case.whole["data"]["outputs"].append(case.whole["data"]["outputs"][-1])


def reordered_part(case: Case) -> None:
    case.part["data"]["partial"].reverse()


def doubled_part(case: Case) -> None:
    case.part["data"]["partial"].insert(0, case.part["data"]["partial"][0])


def silent_gap(case: Case) -> None:
    case.part["data"]["partial"].pop()


def foreign_output(case: Case) -> None:
    case.part["data"]["partial"][0]["output"] = [7]


def phantom_resource(case: Case) -> None:
    body = {"type": "resource.collated", "data": {"resource_id": "x", "total": 1, "outputs": [[1]]}}
    case.more.append(Webhook("msg_x", json.dumps(body).encode()))


def phantom_packet(case: Case) -> None:
    case.part["data"]["partial"].append({"index": PACKETS, "output": [1]})


def two_ids(case: Case) -> None:
    case.more.append(Webhook("msg_other", json.dumps(case.whole).encode()))


def two_bodies(case: Case) -> None:
    case.more.append(Webhook("msg_a", json.dumps(case.whole).encode() + b" "))


def unsigned(case: Case) -> None:
    case.more.append(Webhook("msg_a", json.dumps(case.whole).encode(), problem="no entry fits"))


def contradiction(case: Case) -> None:
    case.history.answered(("a", 0), "conflict")


def answer_to_nobody(case: Case) -> None:
    case.history.answered(("z", 0), "unavailable")


BROKEN: list[tuple[Callable[[Case], None], str]] = [
    (lost_output, "I1"),
    (lost_resource, "I1"),
    (lost_failure, "I1"),
    (silent_failure, "I1"),
    (never_taken, "I1"),
    (taken_as_new, "I1"),
    (reordered, "I2"),
    (doubled, "I2"),
    (reordered_part, "I2"),
    (doubled_part, "I2"),
    (silent_gap, "I2"),
    (foreign_output, "I2"),
    (phantom_resource, "I3"),
    (phantom_packet, "I3"),
    (two_ids, "I4"),
    (two_bodies, "I4"),
    (unsigned, "I4"),
    (contradiction, "('a', 0)"),
    (answer_to_nobody, "an answer to"),
]


def test_a_sound_history_gives_no_complaint() -> None:
    case = Case()
    case.more = [Webhook("msg_a", json.dumps(case.whole).encode(), answer=500)]
    case.history.answered(("a", 0), "duplicate")
    case.history.answered(("a", 1), "unavailable")
    assert case.complaints() == []


@pytest.mark.parametrize(("do", "what"), BROKEN, ids=[do.__name__ for do, _ in BROKEN])
def test_a_broken_history_gives_a_complaint(do: Callable[[Case], None], what: str) -> None:
    case = Case()
    do(case)
    assert [sentence for sentence in case.complaints() if sentence.startswith(what)], case.complaints()


def test_a_run_in_which_little_was_acknowledged_proves_nothing() -> None:
    assert [sentence[:2] for sentence in Case().complaints(at_least=2 * PACKETS + 1)] == ["I8"]


DAMAGE = [
    ("delete from resource where id = 'a'", "packets without a resource"),
    ("delete from packet where k in (select min(k) from outcome)", "outcomes without a packet"),
    ("insert into ready values (1)", "ready packets that are not there"),
    ("insert into ready select min(k) from outcome", "ready packets with an outcome"),
    ("insert into attempt (k) values (1)", "attempts on packets that are not there"),
    ("delete from delivery", "ended resources without a delivery"),
    ("delete from outrun", "resources whose counts are not those of their rows"),
    ("update ledger set counts = json_set(counts, '$.waiting', 7)", "the counters say"),
    ("update packet set payload = '\"other\"' where k in (select min(k) from packet)", "payload does not match"),
    ("update outrun set outputs = '[[2]]'", "output does not match"),
    ("update delivery set rk = 99", "deliveries without a resource"),
]


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A store that was stopped in good order: a resource that has ended, and one that waits."""

    def route(_resource_id: str) -> list[str]:
        return ["default"]

    rows: list[dict[str, Any]] = [
        {"resource_id": "a", "index": 0, "payload": "w", "last": True},
        {"resource_id": "b", "index": 0, "payload": "w"},
    ]
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(), clock=SystemClock(), route=route)
    accepted = await ledger.accept(Batch(decode_array(json.dumps(rows).encode(), PacketLimits())).groups, capacity=1)
    await ledger.record([Output(task.lease, b"[1]") for task in tasks_of(accepted.runs)], capacity={})
    await ledger.aclose()
    return tmp_path


async def test_a_sound_store_gives_no_complaint(data_dir: Path) -> None:
    assert store_complaints(data_dir) == []


@pytest.mark.parametrize(("damage", "what"), DAMAGE, ids=[what for _, what in DAMAGE])
async def test_a_damaged_store_gives_a_complaint(data_dir: Path, damage: str, what: str) -> None:
    connection = apsw.Connection(str(data_dir / "collator.db"))
    connection.execute(damage)
    connection.close()
    assert any(what in sentence for sentence in store_complaints(data_dir)), store_complaints(data_dir)


async def test_a_page_that_was_overwritten_gives_a_complaint(data_dir: Path) -> None:
    file = data_dir / "collator.db"
    connection = apsw.Connection(str(file))
    page, size = connection.execute("select rootpage from sqlite_schema where name = 'packet'").get, 4096
    assert connection.pragma("page_size") == size
    connection.close()
    data = bytearray(file.read_bytes())
    data[(page - 1) * size : page * size] = b"\x55" * size
    file.write_bytes(data)
    assert store_complaints(data_dir)[0].startswith("I6 ")
