"""The engine for one machine: SQLite and workers in this process; nothing to install beside the package."""

from collator.engines.sqlite.ledger import SqliteLedger, open_ledger

__all__ = ["SqliteLedger", "open_ledger"]
