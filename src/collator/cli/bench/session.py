"""All runs of all parts, in turn, so that what disturbs a machine for a while disturbs every part alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from collator.cli.bench.figures import Samples
from collator.cli.bench.measuring import Result, Scale, measure
from collator.signals import cancel_on_stop


class Session:
    """The runs, and what they gave."""

    def __init__(self, scale: Scale, *, parts: Sequence[str], runs: int, tell: Callable[[str], None]) -> None:
        """Measure *parts*, *runs* times each; *tell* gets a line after each."""
        self.samples: list[Mapping[str, Samples]] = []
        """For each run what its parts measured."""
        self.faults: list[str] = []
        self._scale = scale
        self._parts = parts
        self._runs = runs
        self._tell = tell

    async def run(self) -> None:
        """Measure everything. SIGTERM ends it as Ctrl-C does, so that no child outlives it."""
        cancel_on_stop()
        for number in range(1, self._runs + 1):
            self.samples.append({part: await self._measure(part, number) for part in self._parts})

    async def _measure(self, part: str, number: int) -> Samples:
        result = await measure(part, self._scale, number)
        where = f"{part}, run {number} of {self._runs}"
        self.faults += [f"{where}: {fault}" for fault in result.faults]
        self._tell(f"{where}: {_words(result)}")
        return result.samples


def _words(result: Result) -> str:
    packets = result.samples.get("packets_per_second")
    said = f"{packets:,.0f} packets/s" if packets else "done"
    words = [*result.faults] or [said]
    return "; ".join(words + [f"the service warned: {trouble}" for trouble in result.troubles[:1]])
