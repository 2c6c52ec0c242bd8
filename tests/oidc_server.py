"""A local OpenID provider: real HTTP, real codes with PKCE, real keys and signatures, and ways to misbehave.

    with provider() as idp:
        ... OIDC_ISSUER = idp.issuer, OIDC_CLIENT_ID = idp.client_id ...
        idp.person["email_verified"] = False
        idp.forge = True

`/authorize` asks nobody: whoever comes is `person`. What is at `say` stands in the token instead of the truth.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.local_server import Server, at_work, hold

Key = RSAKey | ECKey


@cache
def key(name: str, kind: str = "RSA") -> Key:
    """The key of this name; made once, because making one takes its time."""
    told = {"kid": name, "use": "sig"}
    return RSAKey.generate_key(2048, told) if kind == "RSA" else ECKey.generate_key("P-256", told)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Provider:
    """The provider's side: who comes, what it says, and what it was asked."""

    issuer: str = ""
    client_id: str = "callboard"
    client_secret: str = "only the two of us know"
    person: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "248289761001",
            "email": "Ada@Example.org",
            "email_verified": True,
            "name": "Ada Lovelace",
        }
    )
    signing: Key = field(default_factory=lambda: key("first"))
    say: dict[str, Any] = field(default_factory=dict)
    """Claims of the next tokens besides, or instead; None leaves one out."""
    description: dict[str, Any] = field(default_factory=dict)
    """What the description says besides, or instead."""
    forge: bool = False
    """Sign with a key of somebody else, under the name of ours."""
    algorithm: str = ""
    """`none` and `HS256` are what attackers try."""
    thin: bool = False
    """Leave e-mail, name and groups to the userinfo endpoint."""
    userinfo: dict[str, Any] = field(default_factory=dict)
    denies: bool = False
    down: bool = False
    silent: bool = False
    """Take requests and answer nothing."""
    over: threading.Event = field(default_factory=threading.Event)
    paths: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """Its description, as OpenID Connect Discovery has it."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
        } | self.description

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        self.queries.append(asked)
        answer = {"state": asked["state"]}
        if self.denies:
            return f"{asked['redirect_uri']}?{urlencode(answer | {'error': 'access_denied'})}"
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode(answer | {'code': code})}"

    def redeem(self, asked: dict[str, str], login: str) -> tuple[int, dict[str, Any]]:
        """The tokens for a code, once, for whoever began with it."""
        given = self._codes.pop(asked.get("code", ""), None)
        right = "Basic " + base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if login != right:
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = _base64(digest)
        if (
            given is None
            or given["redirect_uri"] != asked.get("redirect_uri")
            or given["code_challenge_method"] != "S256"
            or given["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant"}
        access = secrets.token_urlsafe(16)
        self._tokens[access] = self.person | self.userinfo
        return 200, {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.signed(access, given["nonce"]),
        }

    def signed(self, access: str, nonce: str) -> str:
        """The id_token, as true as this provider is told to be."""
        half = _base64(hashlib.sha256(access.encode()).digest()[:16])
        now = int(time.time())
        person = {"sub": self.person["sub"]} if self.thin else self.person
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "at_hash": half,
        }
        claims = {name: value for name, value in (claims | person | self.say).items() if value is not None}
        if self.algorithm:
            return self._unsafe(claims)
        signing = key("somebody else's") if self.forge else self.signing
        algorithm = "ES256" if isinstance(signing, ECKey) else "RS256"
        return jwt.encode(
            {"alg": algorithm, "kid": self.signing.kid}, claims, signing, algorithms=[algorithm]
        )

    def _unsafe(self, claims: dict[str, Any]) -> str:
        """Signed not at all, or with our public key as if it were a secret: by hand, because no library does it."""
        parts = [{"alg": self.algorithm, "kid": self.signing.kid}, claims]
        text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        public = self.signing.as_pem(private=False)
        made = hmac.digest(public, text.encode(), "sha256") if self.algorithm == "HS256" else b""
        return f"{text}.{_base64(made)}"

    def who(self, login: str) -> tuple[int, dict[str, Any]]:
        """The userinfo of an access token."""
        person = self._tokens.get(login.removeprefix("Bearer "))
        return (200, person) if person else (401, {"error": "invalid_token"})


class _Answers(BaseHTTPRequestHandler):
    """One request of a browser, or of Callboard."""

    provider: Provider

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        self.provider.paths.append(place.path)
        asked = {name: values[0] for name, values in parse_qs(place.query).items()}
        match place.path:
            case _ if self.provider.silent:
                hold(self.connection, self.provider.over)
            case _ if self.provider.down:
                self._say(503, {"error": "temporarily_unavailable"})
            case "/.well-known/openid-configuration":
                self._say(200, self.provider.described())
            case "/keys":
                self._say(200, KeySet([self.provider.signing]).as_dict(private=False))
            case "/userinfo":
                self._say(*self.provider.who(self.headers.get("Authorization", "")))
            case "/authorize":
                self.send_response(302)
                self.send_header("Location", self.provider.authorize(asked))
                self.send_header("Content-Length", "0")
                self.end_headers()
            case _:
                self._say(404, {})

    def do_POST(self) -> None:
        self.provider.paths.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        self._say(*self.provider.redeem(asked, self.headers.get("Authorization", "")))

    def _say(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider on a free port of 127.0.0.1."""
    made = Provider()
    server = Server(("127.0.0.1", 0), type("Answers", (_Answers,), {"provider": made}))
    made.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    with at_work(server):
        try:
            yield made
        finally:
            made.over.set()
