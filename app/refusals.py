"""Settings with which nothing starts in production, each with the way out."""

from __future__ import annotations

from typing import Protocol

SHORTEST_PASSWORD = 10
FEWEST_CHARACTERS = 8
# What stands in examples and lists of first tries; compared without case and without what people add at the end.
WELL_KNOWN = frozenset({
    "admin", "administrator", "callboard", "changeme", "change-me", "change_me", "default", "letmein", "password", "passw0rd",
    "qwertyuiop", "secret", "test", "welcome",
})  # fmt: skip
TAIL = "0123456789!.?-_*$#"
MAKE_ONE = "make one with: openssl rand -hex 32"


class Wanted(Protocol):
    """What is taken from the settings."""

    @property
    def secret_key(self) -> str: ...  # noqa: D102 - the setting of that name
    @property
    def jwt_secret(self) -> str: ...  # noqa: D102 - the setting of that name
    @property
    def admin_password(self) -> str: ...  # noqa: D102 - the setting of that name
    @property
    def flask_debug(self) -> bool: ...  # noqa: D102 - the setting of that name
    @property
    def http_allow_private(self) -> bool | str: ...  # noqa: D102 - the setting of that name


def check(wanted: Wanted) -> None:
    """Raise ValueError with everything that must not be so in production."""
    found = [*_keys(wanted), *_password(wanted.admin_password), *_switches(wanted)]
    if found:
        raise ValueError("; ".join(found))


def _keys(wanted: Wanted) -> list[str]:
    given = {"SECRET_KEY": wanted.secret_key, "JWT_SECRET": wanted.jwt_secret}
    return [
        f"{name} can be guessed, it has hardly any different characters: {MAKE_ONE}"
        for name, key in given.items()
        if key and len(set(key)) < FEWEST_CHARACTERS
    ]


def _password(password: str) -> list[str]:
    if not password:
        return []
    if len(password) < SHORTEST_PASSWORD:
        return [f"CALLBOARD_ADMIN_PASSWORD must have at least {SHORTEST_PASSWORD} characters"]
    if password.lower().rstrip(TAIL) in WELL_KNOWN | {""}:
        return [
            "CALLBOARD_ADMIN_PASSWORD is one that everybody tries first: choose another, or leave it empty and one is made"
        ]
    return []


def _switches(wanted: Wanted) -> list[str]:
    found = []
    if wanted.flask_debug:
        found.append(
            "FLASK_DEBUG shows people the inside of this program: unset it, or set CALLBOARD_ENV=development"
        )
    if wanted.http_allow_private is True:
        found.append(
            "HTTP_ALLOW_PRIVATE lets whoever submits jobs call addresses of this network: unset it, set "
            "CALLBOARD_ENV=development, or say HTTP_ALLOW_PRIVATE=in-production if you mean it"
        )
    return found
