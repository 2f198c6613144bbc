"""Authentication and roles: the bearer token of a request (RFC 6750), and the role that a route wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from collator.text import quoted
from collator.tokens import Caller, Role, Tokens
from collator.web.problems import HttpProblem, ProblemType

_LOOKS = 5
"""Looks into the ledger, for one page of a list that would be empty."""
_SCHEME = b"bearer "
INVALID = b'Bearer error="invalid_token"'
"""The challenge where what was shown gives no right."""


class OfResource(Protocol):
    """A line of a list that is about a resource."""

    @property
    def resource_id(self) -> str:
        """Its id."""
        ...


L = TypeVar("L", bound=OfResource)


class Auth:
    """Asks for tokens, where the service has any."""

    def __init__(self, tokens: Callable[[], Tokens] | None) -> None:
        """Know callers by *tokens*, which is called at each request; `None`: no token is needed for anything."""
        self._tokens = tokens

    @property
    def guarded(self) -> bool:
        """Whether a token is required."""
        return self._tokens is not None

    def tokens(self) -> Tokens | None:
        """The tokens that are valid at this moment; `None` where none is needed."""
        return None if self._tokens is None else self._tokens()

    def identify(self, headers: Mapping[bytes, bytes], *, page_token: bytes | None = None) -> Caller | None:
        """Return the caller; `None` where the service asks for no token.

        *page_token* is the token of a session of the page, if any; one in *headers* counts before it. Raises
        `HttpProblem` without a token that is known.
        """
        if self._tokens is None:
            return None
        field = headers.get(b"authorization")
        token = page_token if field is None else field[len(_SCHEME) :].strip()
        if token is None:
            raise unauthorized("a token is required: Authorization: Bearer TOKEN", b"Bearer")
        if field is not None and field[: len(_SCHEME)].lower() != _SCHEME:
            raise unauthorized("the only supported authorization scheme is Bearer", b"Bearer")
        caller = self._tokens().find(token)
        if caller is None:
            raise unauthorized("the token is unknown or has been removed", INVALID)
        return caller

    def require(self, caller: Caller | None, role: Role | None) -> None:
        """Raise `HttpProblem` unless *caller*, who was identified, may do what wants *role*."""
        if self._tokens is None or role is None:
            return
        if caller is None:
            raise unauthorized("a token is required: Authorization: Bearer TOKEN", b"Bearer")
        if not caller.may(role):
            raise forbidden(caller, role)


def check_reach(caller: Caller | None, resource_ids: Iterable[str | int], *, what: str = "") -> None:
    """Raise `HttpProblem` unless the token of *caller* is for all of *resource_ids*.

    *what* stands for an id that the caller did not say himself, so that he is not told it.
    """
    if caller is None or not caller.prefixes:
        return
    for name in map(str, resource_ids):
        if not caller.reaches(name):
            raise _beyond(
                f"the token of {quoted(caller.name)} does not allow access to {what or 'resource ' + quoted(name)}"
            )


def check_unrestricted(caller: Caller | None) -> None:
    """Raise `HttpProblem` where the token of *caller* is for some resources alone."""
    if caller is not None and caller.prefixes:
        raise _beyond(f"the token of {quoted(caller.name)} is limited to some resources; this request is about all")


def within(caller: Caller | None, prefix: str) -> Sequence[str]:
    """The prefixes of all ids with *prefix* that *caller* may see, in order."""
    return (prefix,) if caller is None else caller.within(prefix)


async def reachable(
    own: Sequence[str], cursor: str, look: Callable[[str], Awaitable[tuple[Sequence[L], str | None]]]
) -> tuple[Sequence[L], str | None]:
    """The first lines of a list from *cursor* on whose ids have one of the prefixes *own*, and the cursor behind them.

    *look* gives some lines from a cursor on and the cursor behind them. A few looks find none among many of others: the
    page is empty then, and others may be behind it.
    """
    shown: Sequence[L] = ()
    after: str | None = cursor
    for _ in range(_LOOKS):
        if shown or after is None:
            break
        lines, after = await look(after)
        shown = [line for line in lines if line.resource_id.startswith(tuple(own))]
    return shown, after


def _beyond(detail: str) -> HttpProblem:
    return HttpProblem(
        ProblemType.FORBIDDEN, detail, headers=((b"www-authenticate", b'Bearer error="insufficient_scope"'),)
    )


def forbidden(caller: Caller, role: Role, what: str = "this request") -> HttpProblem:
    """*what* is asked wants *role*, which *caller* does not have."""
    challenge = b'Bearer error="insufficient_scope", scope="%s"' % role.encode()
    return HttpProblem(
        ProblemType.FORBIDDEN,
        f"{what} requires the role {role}; the token of {quoted(caller.name)} does not have it",
        headers=((b"www-authenticate", challenge),),
    )


def unauthorized(detail: str, challenge: bytes) -> HttpProblem:
    """The request says not, or not rightly, by whose right it comes; *challenge* as in RFC 6750, 3."""
    return HttpProblem(ProblemType.UNAUTHORIZED, detail, headers=((b"www-authenticate", challenge),))
