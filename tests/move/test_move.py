"""A move is refused where it would do harm, goes on where it was cut off, and changes nothing of what it moves."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import asyncpg
import pytest

from collator.cli.exits import Exit
from collator.errors import ConfigError, Conflict, Damaged, Occupied, StorageFull, Unavailable
from collator.ledgers.move import Move
from collator.ledgers.postgresql import PostgresqlLedger
from collator.ledgers.postgresql.arrival import Arrival
from collator.ledgers.sqlite import departure, move_mark
from collator.ledgers.sqlite.backup import back_up
from collator.messages import DeliveryFilter
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.settings import Settings
from tests.acceptance.programs import COMMAND, environment, run
from tests.conformance.postgresql_harness import PostgresqlHarness, admin
from tests.conformance.steps import offer, packet, packets, process, send
from tests.conformance.store import default_route
from tests.servers.proxy import Proxy
from tests.unit.test_check import damage, opened

pytestmark = pytest.mark.anyio


async def shown(ledger: Ledger) -> list[Any]:
    """All that a ledger shows of its resources and deliveries."""
    ids = [one.resource_id for one in await ledger.resources()]
    pages = [await ledger.outcomes(one) for one in ids]
    posts = (await ledger.deliveries(DeliveryFilter())).deliveries
    details = [await ledger.delivery(post.id) for post in posts]
    return [[await ledger.resource(one) for one in ids], pages, posts, details, await ledger.paused()]


async def webhooks(ledger: Ledger) -> dict[str, bytes]:
    """All that is not delivered: the bodies by webhook id."""
    found = await ledger.claim_deliveries("default", capacity=9, probe=True)
    return {delivery.webhook_id: await ledger.body(delivery) for delivery in found}


async def served(target: PostgresqlHarness) -> PostgresqlLedger:
    return await target.open(LedgerLimits(), default_route)


async def test_all_that_is_moved_is_shown_as_before(settings: Settings, target: PostgresqlHarness) -> None:
    ledger = await opened(settings.data_dir)
    before = await shown(ledger)
    await ledger.resume("default")
    bodies = await webhooks(ledger)
    await ledger.pause("default", reason="by hand")
    await ledger.aclose()
    assert await Move(settings).run()
    node = await served(target)
    after = await shown(node)
    assert {one.resource_id for one in before[0]} - {one.resource_id for one in after[0]} == {"gone"}
    assert [page for page in before[1] if page.state != "cancelled"] == after[1]
    assert [post.id for post in before[2]] == [post.id for post in after[2]]
    assert {post.attempts for post in after[2]} == {0, 1}
    assert before[4].keys() == after[4].keys()
    await node.resume("default")
    assert await webhooks(node) == bodies
    assert await send(node, packet("gone", 1), packet("gone", 7)) == [Status.DUPLICATE, Status.CLOSED]
    await target.stop(node)


async def test_a_large_resource_moves_in_slices(settings: Settings, target: PostgresqlHarness) -> None:
    ledger = await opened(settings.data_dir)
    await offer(ledger, *packets(5_000, "large", last=False))
    await process(ledger, 2_500)
    done = (await ledger.resource("large")).done
    await ledger.aclose()
    with mock.patch.object(Arrival, "write", autospec=True, side_effect=Arrival.write) as write:
        assert await Move(settings).run()
    slices = [call.args[1] for call in write.call_args_list]
    assert max(part.number for part in slices) == departure.ROWS
    node = await served(target)
    report = await node.resource("large")
    assert (report.received, report.done) == (5_000, done)
    await process(node)
    assert (await node.resource("large")).done == 5_000
    await target.stop(node)


async def test_a_second_move_says_so_and_changes_nothing(settings: Settings, target: PostgresqlHarness) -> None:
    move = Move(settings)
    assert await move.run()
    assert move.copied == move.compared == move.extent.rows
    assert not await Move(settings).run()
    move_mark.remove(settings.data_dir)  # it was not served since
    assert not await Move(settings).run()
    with pytest.raises(ConfigError, match="is finished: there is nothing to give up"):
        await Move(settings).give_up()


async def test_what_was_moved_is_served_only_by_who_insists(settings: Settings, tmp_path: Path) -> None:
    await Move(settings).run()
    with pytest.raises(ConfigError, match=r"were moved to postgresql://.*remove .*/data/moved"):
        await opened(settings.data_dir)
    back_up(settings.data_dir, tmp_path / "copy")
    with pytest.raises(ConfigError, match=r"were moved to"):
        await opened(tmp_path / "copy")
    with pytest.raises(ConfigError, match=r"were moved to .* name that with --ledger"):
        await Move(replace(settings, ledger="postgresql://elsewhere/calls")).run()
    move_mark.remove(settings.data_dir)
    ledger = await opened(settings.data_dir)
    await offer(ledger, packet("open", 3))
    await ledger.aclose()
    with pytest.raises(Conflict, match=r"the ledger knows the resource 'again'.*nothing was moved"):
        await Move(settings).run()
    await (await opened(settings.data_dir)).aclose()


async def test_nobody_serves_a_half_moved_store_on_either_side(settings: Settings, target: PostgresqlHarness) -> None:
    with mock.patch.object(Arrival, "compare", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        await Move(settings).run()
    with pytest.raises(ConfigError, match="run collator move again, or give it up"):
        await opened(settings.data_dir)
    with pytest.raises(ConfigError, match="run collator move again, or give it up"):
        await served(target)
    other = replace(settings, data_dir=settings.data_dir.parent / "other")
    await (await opened(other.data_dir)).aclose()
    with pytest.raises(Occupied, match=r"the move of .*/data into this ledger is not finished"):
        await Move(other).run()
    assert await Move(settings).give_up()
    assert not await Move(settings).give_up()
    await target.stop(await served(target))
    ledger = await opened(settings.data_dir)
    await offer(ledger, packet("open", 3))
    await ledger.aclose()
    assert await Move(settings).run()


async def test_a_store_that_went_on_since_is_moved_anew(settings: Settings, target: PostgresqlHarness) -> None:
    with mock.patch.object(Arrival, "finish", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        await Move(settings).run()
    move_mark.remove(settings.data_dir)
    ledger = await opened(settings.data_dir)
    await offer(ledger, packet("open", 3))
    await ledger.aclose()
    assert await Move(settings).run()
    node = await served(target)
    assert (await node.resource("open")).received == 5
    await target.stop(node)


async def test_a_service_or_a_node_that_is_there_is_in_the_way(settings: Settings, target: PostgresqlHarness) -> None:
    ledger = await opened(settings.data_dir)
    with pytest.raises(Occupied, match="is in use by another process"):
        await Move(settings).run()
    await ledger.aclose()
    node = await served(target)
    with pytest.raises(Occupied, match="in use by 1 node: stop them"):
        await Move(settings).run()
    await target.stop(node)
    await (await opened(settings.data_dir)).aclose()
    assert await Move(settings).run()


@pytest.mark.parametrize(
    "statement",
    [
        "update packet set payload = '8' where k = {open} + 1",
        "update outrun set outputs = '[8]' where rk = {open} >> 24",
        "update resource set head = 'x' where id = 'whole'",
        "delete from packet where k = {open} + 5",
    ],
)
async def test_nothing_is_moved_of_a_damaged_store(settings: Settings, statement: str) -> None:
    damage(settings.data_dir, statement)
    with pytest.raises(Damaged, match="nothing was moved: collator check says where"):
        await Move(settings).run()
    assert move_mark.find(settings.data_dir) is None


async def test_what_arrives_otherwise_than_it_was_sent_is_found(settings: Settings, target: PostgresqlHarness) -> None:
    database = await target.connect()
    with mock.patch.object(Arrival, "compare", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        await Move(settings).run()
    await database.execute("update packet set payload = '8' where k = (select max(k) from packet)")
    with pytest.raises(Damaged, match="the table packet is not what was sent; nothing is lost"):
        await Move(settings).run()
    assert await Move(settings).give_up()
    with mock.patch.object(Arrival, "finish", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        await Move(settings).run()
    await database.execute("insert into packet values ((select max(k) + 1 from packet), '8', 8)")
    with pytest.raises(Damaged, match="have arrived"):
        await Move(settings).run()
    await database.close()
    assert await Move(settings).give_up()
    assert await Move(settings).run()


@pytest.mark.parametrize("commits", range(6))
async def test_a_lost_connection_costs_another_run(settings: Settings, target: PostgresqlHarness, commits: int) -> None:
    proxy = await Proxy.start(admin().port)
    cut = replace(settings, ledger=settings.ledger.replace(f":{admin().port}/", f":{proxy.port}/"))
    begin = Arrival.begin

    async def begin_and_be_cut(arrival: Arrival, *given: Any) -> Any:  # noqa: ANN401 - as it has them
        proxy.cut_after(commits)
        return await begin(arrival, *given)

    cutting = mock.patch.object(Arrival, "begin", begin_and_be_cut)
    with cutting, pytest.raises(Unavailable, match="run the command again"):
        await Move(cut).run()
    await Move(cut).run()
    await proxy.stop()
    node = await served(target)
    assert {one.resource_id for one in await node.resources()} == {"whole", "part", "open", "again"}
    await target.stop(node)


async def test_a_full_disk_of_the_server_costs_another_run(settings: Settings) -> None:
    full = asyncpg.DiskFullError("could not extend file")
    with (
        mock.patch.object(asyncpg.Connection, "copy_records_to_table", side_effect=full),
        pytest.raises(StorageFull, match=r"disk of the database server is full.*run the command again"),
    ):
        await Move(settings).run()
    assert await Move(settings).run()


async def test_the_command_killed_at_any_moment_ends_right_when_it_is_run_again(
    settings: Settings, target: PostgresqlHarness, tmp_path: Path
) -> None:
    ledger = await opened(settings.data_dir)
    await offer(ledger, *packets(8_000, "large", last=False))
    await ledger.aclose()
    line = ["move", "--data-dir", "data", "--ledger", target.url, "--ledger-durability", "relaxed"]
    database = await target.connect()
    for rows in (1, 5_000):
        with subprocess.Popen(  # noqa: ASYNC220 - it takes no time
            [*COMMAND, *line], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process_:
            await until_rows(database, rows, process_)
            process_.send_signal(signal.SIGKILL)
    await database.close()
    done = run(*line, "--json", cwd=tmp_path)
    assert done.returncode == Exit.OK, done.stderr
    assert json.loads(done.stdout)["packets"] == 8_000 + 11
    again = run(*line, cwd=tmp_path)
    assert (again.returncode, again.stdout.split(":")[0]) == (Exit.OK, "nothing is left to move")
    node = await served(target)
    assert (await node.resource("large")).received == 8_000
    await target.stop(node)


async def until_rows(database: asyncpg.Connection, rows: int, process_: subprocess.Popen[bytes]) -> None:
    """Wait until so many packets have arrived."""
    for _ in range(6_000):
        if await database.fetchval("select count(*) from packet") >= rows:
            return
        assert process_.poll() is None
        await database.fetchval("select pg_sleep(0.01)")
    raise AssertionError("nothing arrives")


def test_a_target_that_is_none_is_refused(tmp_path: Path) -> None:
    none = run("move", cwd=tmp_path)
    assert (none.returncode, "--ledger does not name a ledger to move to" in none.stderr) == (Exit.CONFIG, True)
    nothing = run("move", "--ledger", "postgresql://collator@127.0.0.1:1/calls", cwd=tmp_path)
    assert (nothing.returncode, "no database in" in nothing.stderr) == (Exit.CONFIG, True)
