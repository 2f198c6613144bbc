"""A packet as senders write it who have one kind of number: ``3.0`` for 3, null for what is not there (R2, R4)."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from collator.errors import Malformed
from collator.packet import NOT_JSON, Packet, in_words, is_integer
from collator.text import shown

T = TypeVar("T")

_HINTS = ("got `float`", "got `null`")
_NULL = msgspec.Raw(b"null")
_text = msgspec.json.Decoder(str)


class Loose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A packet of which numbers are written as floats, or optional members are null: JSON has one kind of number.

    Its numbers stay text here: the decoder takes 6 µs to make some floats, and Python a tenth of that.
    """

    resource_id: msgspec.Raw
    index: msgspec.Raw
    payload: msgspec.Raw
    last: bool | None = False
    total: msgspec.Raw = _NULL
    metadata: msgspec.Raw = msgspec.Raw()

    def strict(self, strict: str) -> Packet:
        """As a packet. Raises `Malformed` where a number is not whole, and in the words *strict* where it is none."""
        id_, total = bytes(self.resource_id), self.total
        try:
            return Packet(
                resource_id=_text.decode(id_) if id_[:1] == b'"' else _integer(id_, "resource_id"),
                index=_integer(bytes(self.index), "index"),
                payload=self.payload,
                last=bool(self.last),
                total=None if total == _NULL else _integer(bytes(total), "total"),
                metadata=self.metadata,
            )
        except (ValueError, msgspec.MsgspecError):
            raise Malformed(strict) from None


LOOSE = msgspec.json.Decoder(Loose)
LOOSES = msgspec.json.Decoder(list[Loose])


def decode_loosely(decoder: msgspec.json.Decoder[T], data: bytes, strict: str) -> T:
    """Decode *data* by *decoder*. Raises `Malformed`, in the words of the *strict* decoder."""
    if may_be_loose(strict):
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:
            pass
        except NOT_JSON as error:  # what is wrong stands behind where the strict one stopped
            raise Malformed(in_words(error, data)) from None
    raise Malformed(strict)


def may_be_loose(strict: str) -> bool:
    """Return whether the words *strict* of the strict decoder are about what a `Loose` packet may have."""
    return any(hint in strict for hint in _HINTS)


def _integer(text: bytes, name: str) -> int:
    """The number *text*, which is whole. Raises `Malformed` where it is not whole, `ValueError` where it is none."""
    if text.lstrip(b"-").isdigit():
        return int(text)
    if text[:1] not in b"-0123456789":
        raise ValueError(name)
    number = float(text)
    if not is_integer(number):
        raise Malformed(f"{name}: {shown(text)} is not a whole number")  # as it came: some floats take 2 us to write
    return int(number)
