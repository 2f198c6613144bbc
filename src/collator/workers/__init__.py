"""The workers of this process: they have the processor called for leased packets, in this process or its children.

| file | what lives there |
|---|---|
| `local_workers` | which packets are in memory, for how long, and what becomes of them at the end |
| `leases` | renews what is held for long, and gives back what is not worked on |
| `reports` | the way of the results into the ledger |
| `pool` | **the seam** to those who make the calls: `threads` (`executor`, `processes`), `loops` (`runner`) |
| `pools` | which of them for which processor |
| `task_buffer`, `round_robin` | the order in which tasks are served, on their way to a pool |
| `result_queue`, `result_bytes` | the results on their way back, and how many bytes of them may wait for the ledger |
| `chunks` | how many tasks a thread takes in one go |
"""

from __future__ import annotations

from collator.workers.local_workers import LocalWorkers

__all__ = ["LocalWorkers"]
