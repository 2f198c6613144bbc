"""The engines: each keeps the contracts of `collator.ledger` and `collator.workers` in its own way."""
