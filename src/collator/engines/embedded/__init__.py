"""The engine for one machine: SQLite and workers in this process; nothing to install beside the package."""

from collator.engines.embedded.ledger import EmbeddedLedger, open_ledger

__all__ = ["EmbeddedLedger", "open_ledger"]
