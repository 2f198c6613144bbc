"""The ledger on PostgreSQL (`collator.seams.ledger`): any number of nodes on one store."""

from collator.ledgers.postgresql.ledger import PostgresqlLedger, open_ledger

__all__ = ["PostgresqlLedger", "open_ledger"]
