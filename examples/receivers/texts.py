"""Goes through an inbox of webhooks, and writes one text file for each resource: the work that comes afterwards.

python texts.py INBOX DIRECTORY

Run it again and again, also while webhooks come, but one at a time: a file that is right stays as it is. It reads the
whole inbox, so move old webhooks away, those of a resource together, when they will not come again.
"""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

LONGEST = 150
ENDINGS = {"resource.collated": ".txt", "resource.incomplete": ".incomplete.txt"}


def latest(inbox: Path) -> list[dict[str, Any]]:
    """The webhook that counts for each resource: that which none supersedes, and of several the latest."""
    events = {path.stem: json.loads(path.read_bytes()) for path in inbox.glob("msg_*.json")}
    events = {webhook_id: event for webhook_id, event in events.items() if event["type"] in ENDINGS}  # no test
    superseded = {event["data"].get("supersedes") for event in events.values()}
    current = [event for webhook_id, event in events.items() if webhook_id not in superseded]
    found: dict[str, dict[str, Any]] = {}
    for event in sorted(current, key=lambda event: datetime.fromisoformat(event["timestamp"])):
        found[event["data"]["resource_id"]] = event
    return list(found.values())


def name(resource_id: str) -> str:
    """A name for a file: an id may have slashes, and be longer than a name."""
    safe = quote(resource_id, safe="")
    return safe if len(safe) <= LONGEST else f"{safe[:LONGEST]}~{sha256(resource_id.encode()).hexdigest()}"


def lines(data: dict[str, Any]) -> Iterator[str]:
    """One line for each output; of a resource that is incomplete also what it lacks, and where each output belongs."""
    if "outputs" in data:
        yield from map(text, data["outputs"])
        return
    failed = [one["index"] for one in data["failed"]]
    yield f"# incomplete: missing {data['missing']}, unfinished {data['unfinished']}, failed {failed}"
    for one in data["partial"]:
        yield f"{one['index']}: {text(one['output'])}"


def text(output: object) -> str:
    """A text as it is, and whatever else as JSON."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def write(directory: Path, event: dict[str, Any]) -> None:
    """Have the one file of the resource in *directory*, whole; it stays as it is where it is right."""
    data = event["data"]
    path = directory / f"{name(data['resource_id'])}{ENDINGS[event['type']]}"
    body = "".join(f"{line}\n" for line in lines(data)).encode()
    if not path.exists() or path.read_bytes() != body:
        new = directory / ".new"
        new.write_bytes(body)
        new.replace(path)
    for ending in {*ENDINGS.values()} - {ENDINGS[event["type"]]}:
        (directory / f"{name(data['resource_id'])}{ending}").unlink(missing_ok=True)


def main(inbox: str, directory: str) -> None:
    """Write the files of all resources in *inbox*."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    for event in latest(Path(inbox)):
        write(Path(directory), event)


if __name__ == "__main__":
    main(*sys.argv[1:])
