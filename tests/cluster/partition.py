"""A cluster in network namespaces of which some are cut off and come back: ``partition.py DIRECTORY [stuck]``.

To be run in a network namespace of its own, as root. Ends with 1 where a promise was broken, and says which. *stuck*:
with nodes from which no lease passes on, so that it has to.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from collator.cli.children import free_port
from tests.brokers import Valkey
from tests.cluster.cluster import Cluster, cluster
from tests.cluster.load import Load
from tests.cluster.proxy import BrokerProxy
from tests.cluster.variant import variant
from tests.servers import postgresql
from tests.wait import until, until_sync

HUB = "10.99.0.1"
"""The address of the servers and of the sender, here."""
LONG = 240.0
"""Seconds within which what one had that is cut off is done by the other, on a machine that is busy."""
SHORT = 60.0
"""Seconds within which it is known that nobody else does it."""
CUT = (1, 3)
"""The second node and the second worker."""


class Network:
    """Namespaces around a bridge, each with a link of its own."""

    def __init__(self, holders: Sequence[int]) -> None:
        """*holders*: the processes in whose namespaces the links end."""
        self.holders = holders
        _ip("link add hub type bridge")
        _ip(f"addr add {HUB}/24 dev hub")
        _ip("link set hub up")
        for number, pid in enumerate(holders):
            _ip(f"link add link{number} type veth peer name inner netns {pid}")
            _ip(f"link set link{number} master hub up")
            for words in (f"addr add {address(number)}/24 dev inner", "link set inner up", "link set lo up"):
                subprocess.run([*self.inside(number), "ip", *words.split()], check=True)

    def inside(self, number: int) -> list[str]:
        """What to put before a command that is to run in namespace *number*."""
        return ["nsenter", "--net", "--target", str(self.holders[number])]

    def cut(self, number: int) -> None:
        """Let nothing through to namespace *number*."""
        _ip(f"link set link{number} down")

    def heal(self, number: int) -> None:
        """Let all through again."""
        _ip(f"link set link{number} up")


def address(number: int) -> str:
    """The address in namespace *number*."""
    return f"10.99.0.{10 + number}"


@contextmanager
def network(size: int) -> Iterator[Network]:
    """*size* namespaces, which end with the context."""
    holders = [subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) for _ in range(size)]
    try:
        here = Path("/proc/self/ns/net").readlink()
        for holder in holders:
            until_sync(lambda: Path(f"/proc/{holder.pid}/ns/net").readlink() != here)  # noqa: B023 - it is called here
        yield Network([holder.pid for holder in holders])
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


async def run(home: Path, *, stuck: bool) -> list[str]:
    """What was broken, in words."""
    with closing(Valkey()) as valkey, network(4) as net:
        server = await asyncio.to_thread(postgresql.Server)
        await _create(f"{server.url}/postgres")
        async with cluster(home) as group:
            receiver = int(group.sink.url.rpartition(":")[2].partition("/")[0])
            proxies = [await BrokerProxy.start(port, HUB) for port in (valkey.port, server.port, receiver)]
            await _start(group, net, [proxy.port for proxy in proxies], _stuck(home) if stuck else None)
            load = group.load()
            async with load.run():
                await load.acknowledges(300)
                for number in CUT:
                    net.cut(number)
                await load.acknowledges(100)
                whole = _whole(load)
                await until(lambda: not whole - group.delivered(), SHORT if stuck else LONG)
                for number in CUT:
                    net.heal(number)
                await load.acknowledges(300)
            await load.delivered(LONG)
            for node in group.nodes:
                await node.stop()
            complaints = [*group.judge(load, at_least=700), *group.failed()]
            if complaints:
                group.note_logs()
            for proxy in proxies:
                await proxy.stop()
        return complaints


async def _start(group: Cluster, net: Network, ports: Sequence[int], source: Path | None) -> None:
    broker, database, receiver = ports
    url = f"redis://{HUB}:{broker}/0"
    for number in range(2):
        node = await group.node(
            url,
            source=source,
            ledger=f"postgresql://collator@{HUB}:{database}/cluster",
            ledger_durability="relaxed",
            webhook=f"http://{HUB}:{receiver}/hook",
            host=address(number),
            port=free_port(),
            processor_retries=20,
        )
        node.environment["COLLATOR_INSECURE"] = "true"
        await node.start(under=net.inside(number))
    for number in range(2, 4):
        worker = group.worker(url, "-P", "threads", "-c", "2")
        worker.under = net.inside(number)
        await worker.start()


async def _create(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute("create database cluster")
    await connection.close()


def _stuck(home: Path) -> Path:
    """A Collator of which no node takes over what another holds."""
    claims = "ledgers/postgresql/claims.py"
    variant(home, claims, '"ended_leases", step.running,', '"ended_leases", -1.0,')
    return variant(home, claims, "for node in step.dead_nodes:", "for node in step.dead_nodes[:0]:")


def _whole(load: Load) -> set[str]:
    """The resources of which all packets are acknowledged."""
    left: defaultdict[str, int] = defaultdict(int)
    for resource_id, index in load.history.sent:
        left[resource_id] += (resource_id, index) not in load.history.acked
    return {resource_id for resource_id, count in left.items() if not count}


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


if __name__ == "__main__":
    found = asyncio.run(run(Path(sys.argv[1]), stuck="stuck" in sys.argv[2:]))
    sys.exit("\n".join(found) if found else 0)
