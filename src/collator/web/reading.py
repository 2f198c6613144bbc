"""How far a request has come in. Pure."""

from __future__ import annotations

from enum import Enum


class Reading(Enum):
    """How far the newest request has come in."""

    NOTHING = "nothing"  #: not a byte
    HEAD = "head"
    BODY = "body"
    WHOLE = "whole"
    NO_MORE = "no more"  #: no further request is read
    ENDED = "ended"  #: the client has said that it sends no more
