"""Who may ask for what: the bearer token of a request (RFC 6750), and the role that a route wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from collator.tokens import Caller, Role, Tokens
from collator.web.problems import Kind, Refusal
from collator.words import quoted

_SCHEME = b"bearer "


class Access:
    """Asks for tokens, where the service has any."""

    def __init__(self, tokens: Callable[[], Tokens] | None) -> None:
        """Know callers by *tokens*, which is asked at each request; `None`: everybody may ask for everything."""
        self._tokens = tokens

    @property
    def guarded(self) -> bool:
        """Whether tokens are asked for."""
        return self._tokens is not None

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Who asks; `None` where nobody is asked who he is. Raises `Refusal` without a token that is known."""
        if self._tokens is None:
            return None
        field = headers.get(b"authorization")
        if field is None:
            raise _unknown("a token is wanted: Authorization: Bearer TOKEN", b"Bearer")
        if field[: len(_SCHEME)].lower() != _SCHEME:
            raise _unknown("of all schemes only Bearer is taken", b"Bearer")
        caller = self._tokens().find(field[len(_SCHEME) :].strip())
        if caller is None:
            raise _unknown("this token is not known, or no longer", b'Bearer error="invalid_token"')
        return caller

    def require(self, caller: Caller | None, role: Role | None) -> None:
        """Raise `Refusal` unless *caller*, who was identified, may do what wants *role*."""
        if self._tokens is None or role is None:
            return
        if caller is None:
            raise _unknown("a token is wanted: Authorization: Bearer TOKEN", b"Bearer")
        if not caller.may(role):
            raise forbidden(caller, role)


def check_reach(caller: Caller | None, resource_ids: Iterable[str | int], *, what: str = "") -> None:
    """Raise `Refusal` unless the token of *caller* is for all of *resource_ids*.

    *what* stands for an id that the caller did not say himself, so that he is not told it.
    """
    if caller is None or not caller.prefixes:
        return
    for name in map(str, resource_ids):
        if not caller.reaches(name):
            raise _beyond(f"the token of {quoted(caller.name)} is for other resources than {what or quoted(name)}")


def check_whole(caller: Caller | None) -> None:
    """Raise `Refusal` where the token of *caller* is for some resources alone."""
    if caller is not None and caller.prefixes:
        raise _beyond(f"this is about all resources, and the token of {quoted(caller.name)} is for some")


def within(caller: Caller | None, prefix: str) -> Sequence[str]:
    """How the ids begin of all resources with *prefix* that *caller* may see, in order."""
    return (prefix,) if caller is None else caller.within(prefix)


def _beyond(detail: str) -> Refusal:
    return Refusal(Kind.FORBIDDEN, detail, headers=((b"www-authenticate", b'Bearer error="insufficient_scope"'),))


def forbidden(caller: Caller, role: Role, what: str = "this") -> Refusal:
    """*what* is asked wants *role*, which *caller* does not have."""
    challenge = b'Bearer error="insufficient_scope", scope="%s"' % role.encode()
    return Refusal(
        Kind.FORBIDDEN,
        f"{what} wants the role {role}, which the token of {quoted(caller.name)} does not have",
        headers=((b"www-authenticate", challenge),),
    )


def _unknown(detail: str, challenge: bytes) -> Refusal:
    return Refusal(Kind.UNAUTHORIZED, detail, headers=((b"www-authenticate", challenge),))
