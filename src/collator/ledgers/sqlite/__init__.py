"""The ledger of one machine: SQLite in this process; nothing to install beside the package."""

from collator.ledgers.sqlite.ledger import SqliteLedger, open_ledger

__all__ = ["SqliteLedger", "open_ledger"]
