"""What a receiver repeats of a request is kept without its credentials (R21)."""

from __future__ import annotations

import json

import pytest

from collator.egress import Answer, cleared, credentials_of, text_of
from collator.egress.answer import excerpt
from collator.signing import Secret, generate_secret, sign
from collator.target import parse

URL = "https://crm:s3cr%2Ft-word@crm.example/hooks?key=a%2Fb%2Fc%2Fd&wait=true&token=0123456789"
SECRETS = ("s3cr/t-word", "crm:s3cr", "a%2Fb", "a/b/c/d", "0123456789", "Y3JtOnMzY3IvdC13b3Jk", r"a\/b\/c\/d")


def said(body: bytes, media: str = "text/plain") -> Answer:
    return Answer(500, beginning=body, size=len(body), media=media, excerpt=excerpt(body, media))


def test_nothing_of_the_credentials_is_left() -> None:
    target = parse(URL)
    secret = Secret(generate_secret())
    signature = sign([secret], "msg_x", 1, b"{}")
    echoed = ["https://crm.example" + target.path, target.authorization, "crm:s3cr/t-word", "a/b/c/d", signature]
    body = json.dumps(echoed).replace("/", r"\/") + " ".join(echoed)
    answer = cleared(said(body.encode()), credentials_of(target))
    for secret_text in (*SECRETS, signature, signature.partition(",")[2]):
        assert secret_text not in text_of(answer)
        assert secret_text not in answer.excerpt
    assert "***" in answer.excerpt
    assert "crm.example" in text_of(answer)


@pytest.mark.parametrize("url", [URL, "http://crm.example/", "http://crm.example/?wait=true&a="])
def test_what_is_no_credential_stays_as_it_came(url: str) -> None:
    answer = said(b'{"ok": true, "wait": "v1", "path": "/hooks"}', "application/json")
    assert cleared(answer, credentials_of(parse(url))) is answer
