from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest

from app import clock
from app.accounts import tokens
from app.accounts.tokens import Claims

KEY = "k" * 40
HOUR = timedelta(hours=1)
CLAIMS = Claims(
    user_id="01890000-0000-7000-8000-000000000001",
    session_id="01890000-0000-7000-8000-000000000002",
    token_version=3,
)


def forged(drop: str | None = None, key: str = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    body = {
        "iss": tokens.ISSUER,
        "aud": tokens.AUDIENCE,
        "sub": CLAIMS.user_id,
        "sid": CLAIMS.session_id,
        "ver": 3,
        "jti": "x",
        "iat": clock.now(),
        "exp": clock.now() + HOUR,
        **changes,
    }
    body.pop(drop, None)
    return jwt.encode(body, key, algorithm=algorithm)


def test_what_was_issued_can_be_read() -> None:
    assert tokens.read(tokens.issue(CLAIMS, key=KEY, life=HOUR), keys=(KEY,)) == CLAIMS


def test_no_two_tokens_are_the_same() -> None:
    assert tokens.issue(CLAIMS, key=KEY, life=HOUR) != tokens.issue(CLAIMS, key=KEY, life=HOUR)


def test_the_test_forgery_is_good_unless_something_is_changed() -> None:
    assert tokens.read(forged(), keys=(KEY,)) == CLAIMS


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "jti", "aud", "iss", "sid", "ver"])
def test_a_token_without_a_claim_is_refused(claim: str) -> None:
    assert tokens.read(forged(drop=claim), keys=(KEY,)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_700_000_000},
        {"iat": 4_102_444_800},
        {"aud": "another-api"},
        {"iss": "somebody-else"},
        {"sub": "not an id"},
        {"sid": 7},
        {"ver": "3"},
        {"key": "w" * 40},
        {"algorithm": "HS384", "key": "k" * 48},
        {"algorithm": "none", "key": ""},
    ],
    ids=str,
)
def test_a_token_that_is_wrong_in_one_way_is_refused(changes: dict[str, Any]) -> None:
    assert tokens.read(forged(**changes), keys=(KEY,)) is None


def test_a_header_that_says_none_over_a_genuine_body_is_refused() -> None:
    _, body, signature = forged().split(".")
    header = (
        base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    )

    assert tokens.read(f"{header}.{body}.", keys=(KEY,)) is None
    assert tokens.read(f"{header}.{body}.{signature}", keys=(KEY,)) is None


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "\ud800", "é.é.é"])
def test_what_is_no_token_is_refused(text: str) -> None:
    assert tokens.read(text, keys=(KEY,)) is None


def test_a_key_that_was_replaced_still_opens_while_it_is_listed() -> None:
    old = tokens.issue(CLAIMS, key=KEY, life=HOUR)

    assert tokens.read(old, keys=("n" * 40, KEY)) == CLAIMS
    assert tokens.read(old, keys=("n" * 40,)) is None


def test_a_short_key_does_not_sign() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        tokens.issue(CLAIMS, key="short", life=HOUR)
