"""The seams: what the parts of Collator that can be exchanged promise each other, as types and contracts alone.

A ledger keeps what must survive, workers have packets processed, an outbox sends webhooks. Each is a `Protocol` of a
few verbs, whose docstrings are the contract: what is atomic, when it is durable, what a late caller gets. Nothing here
knows how any of them works.
"""
