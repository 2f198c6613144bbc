"""Collator turns a live stream of packets into one webhook per finished resource."""

__version__ = "0.1.0"
