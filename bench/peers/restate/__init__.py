"""Restate: a virtual object for each resource, which takes one packet after the other and keeps the outputs."""
