"""Simulates senders: resources of some packets each, in random order, many at a time.

python producer.py [RESOURCES] [URL]
"""

import random
import sys
from collections.abc import Iterator
from typing import Any

from collator import SyncClient

SENTENCE = "the quick brown fox jumps over the lazy dog"


def packets(resources: int) -> Iterator[dict[str, Any]]:
    """All packets of *resources*, in random order; the last one of each says so, wherever it comes."""
    chance = random.Random(1)
    made = []
    for number in range(resources):
        size = chance.randint(1, 20)
        made += [
            {"resource_id": f"call-{number}", "index": index, "payload": SENTENCE[index:], "last": index == size - 1}
            for index in range(size)
        ]
    chance.shuffle(made)
    yield from made


def main(resources: str = "10", url: str = "http://127.0.0.1:8000") -> None:
    """Send them; what is not acknowledged is sent again."""
    with SyncClient(url) as client:
        client.send(packets(int(resources)))


if __name__ == "__main__":
    main(*sys.argv[1:])
