"""Several ledgers as one: each resource lives in one of them, by a hash of its id, and views show all of them."""

from collator.ledgers.slots.ledger import SlottedLedger
from collator.ledgers.slots.slots import Part

__all__ = ["Part", "SlottedLedger"]
