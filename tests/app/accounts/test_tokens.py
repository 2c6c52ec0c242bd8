from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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


@pytest.mark.parametrize(("ahead", "good"), [(1, True), (300, True), (1200, False)])
def test_one_from_a_host_whose_clock_is_ahead_is_good(ahead: int, good: bool) -> None:
    token = forged(iat=clock.now() + timedelta(seconds=ahead))
    assert (tokens.read(token, keys=(KEY,)) == CLAIMS) == good


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


@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "/proc/sys/kernel/randomize_va_space", "' OR 1=1 --", "x" * 9999]
)
def test_nothing_is_looked_up_by_the_key_id_of_a_header(kid: str) -> None:
    body = jwt.decode(forged(), options={"verify_signature": False})

    for key in ("", "0", KEY[:-1], "w" * 40):
        assert (
            tokens.read(
                with_header({"alg": "HS256", "typ": "JWT", "kid": kid}, body, key.encode()), keys=(KEY,)
            )
            is None
        )
    genuine = with_header({"alg": "HS256", "typ": "JWT", "kid": kid}, body, KEY.encode())
    assert tokens.read(genuine, keys=(KEY,)) == CLAIMS  # ours: the header decides nothing


@pytest.mark.parametrize(
    "header",
    [{"jku": "http://127.0.0.1/keys"}, {"x5u": "http://127.0.0.1/c"}, {"jwk": {"kty": "oct", "k": "d3d3"}}],
)
def test_a_header_cannot_bring_its_own_key(header: dict[str, Any]) -> None:
    body = jwt.decode(forged(), options={"verify_signature": False})

    assert (
        tokens.read(with_header({"alg": "HS256", "typ": "JWT", **header}, body, b"www"), keys=(KEY,)) is None
    )


def test_a_public_key_is_no_secret_and_no_signature_of_its_private_one_is_taken() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = jwt.decode(forged(), options={"verify_signature": False})
    by_public = with_header({"alg": "HS256", "typ": "JWT"}, body, public)
    by_private = jwt.encode(body, private, algorithm="RS256")

    for token in (by_public, by_private):
        assert tokens.read(token, keys=(KEY,)) is None
    for key in (KEY, public.decode()):  # even where somebody put the public key into JWT_SECRET
        assert tokens.read(by_private, keys=(key,)) is None


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "HS512", "RS256", "ES256", "EdDSA", "", "hs256"]
)
def test_only_one_algorithm_is_taken_however_it_is_written(algorithm: str) -> None:
    body = jwt.decode(forged(), options={"verify_signature": False})

    assert tokens.read(with_header({"alg": algorithm, "typ": "JWT"}, body, KEY.encode()), keys=(KEY,)) is None


def test_a_token_cannot_be_prolonged_or_passed_on() -> None:
    header, body, signature = forged().split(".")
    told = json.loads(base64.urlsafe_b64decode(body + "=="))
    for change in ({"exp": told["exp"] + 999_999}, {"sub": CLAIMS.session_id}, {"ver": 4}):
        assert tokens.read(f"{header}.{part(told | change)}.{signature}", keys=(KEY,)) is None


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_header(header: dict[str, Any], body: dict[str, Any], key: bytes) -> str:
    """A token signed with HMAC-SHA256 and `key`, whatever its header says; made by hand, as libraries refuse to."""
    signed = f"{part(header)}.{part(body)}"
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
