"""A check of every file that comes out of a demo: computed from the plan alone, not from any answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from collator.cli.packet_plan import Plan
from collator.cli.webhook_file import file_name


def check(plan: Plan, received: Path) -> list[str]:
    """The errors in the files in *received*, which must come of *plan*; a line each."""
    expected: dict[str, list[list[int]]] = {name: [[]] * size for name, size in plan.sizes().items()}
    for step in plan.steps():
        packet = step.packet
        expected[packet["resource_id"]][packet["index"]] = [len(word) for word in packet["payload"].split(" ")]
    wrong = [
        line for name, outputs in expected.items() for line in _compare(received / f"{file_name(name)}.txt", outputs)
    ]
    extra = {path.name for path in received.iterdir()} - {f"{file_name(name)}.txt" for name in expected}
    return wrong + [f"{received / name}: unexpected, it was not sent" for name in sorted(extra)]


def _compare(path: Path, outputs: list[list[int]]) -> Iterator[str]:
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except FileNotFoundError:
        yield f"{path}: not found"
    except ValueError as error:
        yield f"{path}: not JSON: {error}"
    else:
        if lines != outputs:
            yield f"{path}: its {len(lines)} lines differ from the {len(outputs)} expected outputs"
