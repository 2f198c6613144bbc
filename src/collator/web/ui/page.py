"""The page as the HTTP app sees it: what it answers, and whose request a cookie makes one."""

from __future__ import annotations

from collator.web.auth import Auth
from collator.web.host_check import HostCheck
from collator.web.problems import method_not_allowed
from collator.web.request_body import READS, HttpAnswer, RequestBody
from collator.web.ui.assets import PREFIX, load_assets
from collator.web.ui.session import Session, page_token

SESSION = PREFIX + "session"


class UserInterface:
    """The page, where the service has one."""

    def __init__(self, auth: Auth, host_check: HostCheck, *, payloads: bool) -> None:
        """Know callers by *auth* and hosts by *host_check*; *payloads*: whether the page shows any."""
        self._host_check = host_check
        self._session = Session(auth, payloads=payloads)
        self._assets = load_assets()

    def serves(self, path: str) -> bool:
        """Return whether *path* is the page's."""
        return path == SESSION or path in self._assets

    async def answer(self, request: RequestBody, path: str) -> HttpAnswer:
        """Answer a request for *path*, which is the page's. `HttpProblem`, `Malformed`, `ClientGone`."""
        if path == SESSION:
            self._host_check.check(request.headers, request.target_host)
            return await self._session.answer(request)
        # A link in a message of another site leads here too. The page holds nothing that is of any site's concern,
        # and asks for all else itself.
        self._host_check.check_host(request.headers, request.target_host)
        if request.scope["method"] not in READS:
            raise method_not_allowed("GET, HEAD")
        return self._assets[path]

    def token_of(self, request: RequestBody) -> bytes | None:
        """The token of the session of *request*, if any. `HttpProblem` where another site may have had it sent."""
        return page_token(request)
