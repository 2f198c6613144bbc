"""The session of a browser: the token of who signed in, in a cookie that no script can read.

Nothing of a session is kept here. A token that is removed from the tokens file ends it, on all nodes alike, and a
restart does not (docs/decisions/054-the-page.md). A browser sends a cookie by itself, whoever made it ask: so what
changes something needs a header field that the page alone sets, beside the check of Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from collator import __version__
from collator.tokens import Role
from collator.web.auth import Auth, forbidden
from collator.web.problems import HttpProblem, ProblemType, method_not_allowed
from collator.web.request_body import READS, HttpAnswer, RequestBody, answer_json
from collator.web.ui.assets import SECURITY

OWN_FIELD = b"x-collator-page"
"""Set by the page on all that it asks. Another site can have a browser set it only where the service allowed that."""
COOKIE = b"collator_token"
_SECONDS = 12 * 60 * 60
"""How long a browser keeps it: a shift."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
"""What a bearer token is made of (RFC 6750, 2.1): nothing that a cookie minds."""
_SMALL = 4096  # bytes of a body that holds a token


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request to begin a session."""

    token: str


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session, as the page needs to know it."""

    guarded: bool
    """Whether the service asks for tokens; where it does not, everybody may do everything."""
    signed_in: bool
    """Whether the API will answer."""
    version: str = ""
    """Of the service; empty for who is not signed in, as are the others."""
    name: str = ""
    """Whose token it is."""
    roles: Sequence[Role] = ()
    prefixes: Sequence[str] = ()
    payloads: bool = False
    """Whether the page shows payloads and outputs (`ui_payloads`)."""


class Session:
    """Begins, shows and ends sessions."""

    def __init__(self, auth: Auth, *, payloads: bool) -> None:
        """Know tokens by *auth*; tell the page whether to show *payloads*."""
        self._auth = auth
        self._payloads = payloads
        self._decoder = msgspec.json.Decoder(SignIn)

    async def answer(self, request: RequestBody) -> HttpAnswer:
        """GET shows the session, POST begins one, DELETE ends it. `HttpProblem`, `Malformed`, `ClientGone`."""
        method = request.scope["method"]
        if method in READS:
            return answer_json(self._view(cookie_of(request.headers) or b""))
        if method not in {"POST", "DELETE"}:
            raise method_not_allowed("DELETE, GET, HEAD, POST")
        _check_own(request)
        if method == "DELETE":
            await request.nothing()
            return _with_cookie(self._view(b""), request, b"", 0)
        token = (await request.decode(self._decoder, _SMALL)).token.strip()
        known = token.encode() if _TOKEN.fullmatch(token) else b""
        caller = self._auth.identify({}, page_token=known)
        if caller is not None and not caller.may(Role.READ):
            raise forbidden(caller, Role.READ, "this page")
        return _with_cookie(self._view(known), request, known, _SECONDS)

    def _view(self, token: bytes) -> SessionView:
        tokens = self._auth.tokens()
        if tokens is None:
            return SessionView(
                guarded=False, signed_in=True, version=__version__, roles=[*Role], payloads=self._payloads
            )
        caller = tokens.find(token)
        if caller is None:
            return SessionView(guarded=True, signed_in=False)
        return SessionView(
            guarded=True,
            signed_in=True,
            version=__version__,
            name=caller.name,
            roles=sorted(caller.roles),
            prefixes=caller.prefixes,
            payloads=self._payloads,
        )


def page_token(request: RequestBody) -> bytes | None:
    """The token of the session that *request* belongs to, if any.

    Raises `HttpProblem` where it would change something and does not come from the page.
    """
    token = cookie_of(request.headers)
    if token is not None and request.scope["method"] not in READS:
        _check_own(request)
    return token


def cookie_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The value of the cookie in *headers*, if it is there; that of the first where there are several."""
    for pair in headers.get(b"cookie", b"").split(b";"):
        name, equals, value = pair.strip().partition(b"=")
        if equals and name == COOKIE:
            return value
    return None


def _check_own(request: RequestBody) -> None:
    if OWN_FIELD not in request.headers:
        raise HttpProblem(ProblemType.CROSS_ORIGIN, "a request with a cookie that changes something must be the page's")


def _with_cookie(view: SessionView, request: RequestBody, value: bytes, seconds: int) -> HttpAnswer:
    """*view* as an answer that sets the cookie, for TLS alone where the page came by it."""
    secure = b"; Secure" if request.headers.get(b"origin", b"").startswith(b"https://") else b""
    cookie = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%b" % (COOKIE, value, seconds, secure)
    answer = answer_json(view)
    return msgspec.structs.replace(answer, headers=(*answer.headers, *SECURITY, (b"set-cookie", cookie)))
