"""Capacity: how much a caller can take."""

from __future__ import annotations

from collections.abc import Mapping

Capacity = Mapping[str, int]
"""For each endpoint, how many deliveries the caller can take."""
