"""The rules R1 to R26 as pure code: what a packet, an outcome, a timeout or a person's wish means for a resource.

No clock, no store and no network: times are arguments, and a verdict is a value. A ledger looks up what a rule has to
know, asks it, and stores what it decided; its own language repeats only what must be atomic in it.
"""
