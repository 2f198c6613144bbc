"""The engines: each keeps the contracts of `collator.ledger` and `collator.workforce` in its own way."""
