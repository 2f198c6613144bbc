#!/usr/bin/env bash
# dramatiq 2.2.1: a completion callback is to "run once every job in this group has completed". Messages are delivered
# at least once, and actors are assumed to be idempotent. Seen: the callback counts deliveries, not messages. If one of
# three is delivered twice, as after a worker that ended before its acknowledgement, the callback runs while another
# has not run at all, and runs again for each delivery that ends later. If one fails for good it never runs, and
# nothing tells so. Idempotent actors are not enough: whoever collates in the callback has to look which parts are
# there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dramatiq==2.2.1
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import threading

import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import StubBackend

broker = StubBroker()
broker.emit_after("process_boot")
broker.add_middleware(GroupCallbacks(StubBackend()))
dramatiq.set_broker(broker)
seen = []
collated = threading.Event()


@dramatiq.actor(max_retries=0)
def part(index, waits=False, fails=False):
    if waits:
        collated.wait(5)  # until the callback has run, which should be after this
    if fails:
        raise ValueError(index)
    seen.append(index)


@dramatiq.actor
def collate():
    seen.append("collate")
    collated.set()


def run(messages, again=()):
    """What ran, in which order, if the messages of these indexes are delivered once more."""
    seen.clear()
    collated.clear()
    group = dramatiq.group(messages)
    group.add_completion_callback(collate.message())
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
    group.run()
    queue = broker.queues["default"]
    waiting = list(queue.queue)
    for index in again:
        queue.put(waiting[index])
    worker.start()
    broker.join("default", timeout=20_000, fail_fast=False)
    worker.join()
    worker.stop()
    return list(seen)


once = run([part.message(index) for index in range(3)])
twice = run([part.message(0), part.message(1), part.message(2, waits=True)], again=[0])
failed = run([part.message(0), part.message(1, fails=True), part.message(2)])
print("each once:", once, "- the first twice:", twice, "- the second fails:", failed)
assert once[-1] == "collate" and once.count("collate") == 1
assert sorted(twice[:3]) == [0, 0, 1] and twice[3:] == ["collate", 2, "collate"]
assert sorted(failed) == [0, 2]
PYTHON
