"""The ledgers: each keeps the contract of `collator.seams.ledger` in its own way."""
