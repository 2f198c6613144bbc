"""`collator status`, for a person with 80 columns."""

from __future__ import annotations

from typing import Any

import pytest

from collator.cli.status import describe, needs_attention

STORED = {"open": 1, "collated": 2, "incomplete": 0, "cancelled": 0, "remembered": 0}
STORED |= {"waiting": 3, "backlog": 4096, "due": 1, "dead": 0}
ANSWER: dict[str, Any] = {"ready": True, "version": "0.1.0", "reasons": [], "stored": STORED}
NODE = {"name": "web-1:4711", "version": "0.1.0", "since": "2026-11-24T02:05:00.123456Z", "beat": 0.4, "leased": 12}
SAFE = {"store": "SQLite", "away": [], "risks": [], "replication": "none", "standbys": []}


def lines(**other: object) -> list[str]:
    return [*describe("http://db", ANSWER | other)]


def test_of_a_node_alone_there_is_no_word() -> None:
    before = lines()  # the answer of a service of before
    assert lines(durability=SAFE, nodes=[NODE | {"id": 1, "here": True}]) == before
    assert before[0] == "http://db  ready  (version 0.1.0)"


def test_several_nodes_are_a_table_in_80_columns() -> None:
    long = "a-pod-with-quite-a-long-name-7c9f6d5b8-x2x4q:4711"
    nodes = [NODE | {"id": 7, "here": False, "name": long}, NODE | {"id": 12_345, "here": True, "beat": 31.0}]
    found = lines(durability=SAFE, nodes=nodes)
    assert found[-4:] == [
        "  nodes       2",
        "    id      name                      version  since              beat  leased",
        "    7       a-pod-with-q…-x2x4q:4711  0.1.0    2026-11-24T02:05Z  0 s   12",
        "    12345*  web-1:4711                0.1.0    2026-11-24T02:05Z  31 s  12",
    ]
    assert max(map(len, found)) <= 80


def test_one_of_several_databases_that_is_away_is_named() -> None:
    found = lines(durability=SAFE | {"away": ["ledger 2: the server does not answer"]})
    assert "  away        ledger 2: the server does not answer" in found


def test_replication_says_what_a_failover_loses() -> None:
    sync = {"name": "db-2", "sync": "sync", "lag_seconds": 0.25, "lag_bytes": 2048}
    found = lines(durability=SAFE | {"replication": "synchronous", "standbys": [sync]})
    assert found[-2:] == [
        "  replication synchronous, so a failover loses nothing",
        "    db-2  sync, 2.0 KiB behind (0.2 s)",
    ]
    hidden = {"name": "", "sync": "", "lag_seconds": None, "lag_bytes": None}
    found = lines(durability=SAFE | {"replication": "asynchronous", "standbys": [hidden]})
    assert found[-2:] == [
        "  replication asynchronous, so a failover may lose the last commits",
        "    a standby  grant pg_monitor to see more",
    ]
    assert lines(durability=SAFE | {"replication": "synchronous"})[-1] == (
        "    no standby is connected: commits wait for one"
    )


def test_a_risk_is_told_and_a_store_that_cannot_be_read() -> None:
    risk = "full_page_writes is off: a page that is half written at a power cut cannot be repaired"
    found = lines(durability=SAFE | {"risks": [risk]})
    assert found[1:3] == [
        "  at risk     full_page_writes is off: a page that is half written at a power",
        "              cut cannot be repaired",
    ]
    found = lines(ready=False, reasons=["the store cannot be used"], stored=None, durability=None, nodes=[])
    assert found == [
        "http://db  NOT READY  (version 0.1.0)",
        "  the store cannot be used",
        "  store       cannot be read at the moment",
    ]


def test_celery_workers_are_a_table_in_80_columns_and_their_trouble_is_told() -> None:
    worker: dict[str, object] = {
        "name": "collator-1f2e3d@a-host-with-a-long-name",
        "host": "a-host-with-a-long-name",
        "pool": "prefork",
    }
    worker |= {"processor": "words:lengths", "version": "0.1.0", "calls": 64, "jobs": 3, "packets": 12, "beat": 1.4}
    silent: dict[str, object] = {
        "name": "w@b",
        "host": "",
        "pool": "",
        "processor": "",
        "version": "",
        "calls": 1,
        "jobs": 0,
    }
    silent |= {"packets": 0, "beat": 0.0, "trouble": "the processor http://127.0.0.1:9/ takes no packets: HTTP 503"}
    found = lines(workers=[worker | {"trouble": ""}, silent])
    assert found[-5:] == [
        "  workers     2",
        "    name                      pool     version  beat  calls  packets",
        "    collator-1f2…a-long-name  prefork  0.1.0    1 s   64     12",
        "    w@b                       ?        ?        0 s   1      0",
        "    w@b: the processor http://127.0.0.1:9/ takes no packets: HTTP 503",
    ]
    assert max(map(len, found)) <= 80


DELIVERY = {"id": "msg_x:crm", "created_at": "2026-11-24T02:05:00.123456Z", "attempts": 5, "reason": "HTTP 401: no key"}
CRM: dict[str, Any] = {"endpoint": "crm", "causes": ["overdue"], "why_not_sent": None, "next_try_in": None}
CRM |= {"due": 12, "due_more": False, "oldest_due": DELIVERY, "dead": 0, "dead_more": False, "oldest_dead": None}


def test_an_endpoint_that_needs_attention_is_a_line_that_wraps_at_80_columns() -> None:
    assert lines(attention=[CRM])[-2:] == [
        "  attention   crm: 12 due, the oldest since 2026-11-24T02:05Z after 5 attempts",
        "              (HTTP 401: no key)",
    ]
    held = CRM | {"why_not_sent": "breaker open, next try in 12 s (HTTP 503)"}
    dead = {"dead": 1000, "dead_more": True, "oldest_dead": DELIVERY | {"attempts": 0, "reason": ""}}
    found = lines(attention=[held | dead])
    assert found[-3:] == [
        "  attention   crm: breaker open, next try in 12 s (HTTP 503); 12 due, the oldest",
        "              since 2026-11-24T02:05Z after 5 attempts (HTTP 401: no key); 1000",
        "              or more given up, the oldest since 2026-11-24T02:05Z",
    ]
    assert max(map(len, found)) <= 80


@pytest.mark.parametrize(
    "other",
    [
        {"attention": [CRM]},
        {"stored": STORED | {"dead": 1}},
        {"stored": None},
        {"failing": [{"reason": "HTTP 503"}]},
        {"durability": SAFE | {"away": ["ledger 2: the server does not answer"]}},
        {"workers": [{"trouble": "it takes no packets"}]},
    ],
)
def test_a_check_minds_what_a_person_has_to_look_at(other: dict[str, Any]) -> None:
    well = ANSWER | {"attention": [], "failing": [], "workers": [{"trouble": ""}], "durability": SAFE}
    assert not needs_attention(ANSWER)
    assert not needs_attention(well | {"durability": SAFE | {"risks": ["accepted in the settings"]}})
    assert needs_attention(well | other)
