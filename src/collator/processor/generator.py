"""An async generator of the user: outputs that are not final yet, and then the one that is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import wraps
from typing import Any

import msgspec

from collator.processor.loader import UserFunction
from collator.processor.outputs import Unusable


class Partial(msgspec.Struct, frozen=True):
    """An interim output, which a processor that is an async generator yields before its output.

    Who follows the resource is shown the latest, as an event `partial`. It is stored nowhere, and is in no webhook.
    """

    output: Any
    """Anything that an output may be."""


async def output_of(values: AsyncGenerator[Any, None], show: Callable[[Any], None]) -> object:
    """The output among what is yielded, which is the last: all before it are `Partial`, and given to *show*.

    Raises `ProcessorFailed` where there is none, or more behind it.
    """
    async with aclosing(values):
        async for value in values:
            if not isinstance(value, Partial):
                return await _alone(values, value)
            show(value.output)
    raise Unusable("the generator has yielded no output behind its interim ones")


async def _alone(values: AsyncGenerator[Any, None], output: object) -> object:
    async for _ in values:
        raise Unusable("the generator has yielded more behind its output; interim outputs are Partial(…)")
    return output


def without_interim(function: UserFunction) -> UserFunction:
    """*function*, which is an async generator, as a coroutine function whose interim outputs are dropped."""

    @wraps(function)
    async def call(*args: Any, **options: Any) -> object:  # noqa: ANN401 - what the user's function takes and gives
        return await output_of(function(*args, **options), lambda _: None)

    return call
