"""Passwords, as argon2id with OWASP's figures (19 MiB, 2 passes: about 35 ms)."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import Invalid

SHORTEST, LONGEST = 10, 200

_hasher = PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1)

# Checked when there is no user, so that an unknown name takes as long as a wrong password.
_NOBODY = _hasher.hash("nobody has this password")


def checked(password: str, pointer: str = "/password") -> str:
    """`password` if it may be used; raises Invalid otherwise, for the field at `pointer`."""
    if not SHORTEST <= len(password) <= LONGEST:
        message = f"must have {SHORTEST} to {LONGEST} characters"
        raise Invalid(f"The password {message}.", [(pointer, message)])
    return password


def hashed(password: str) -> str:
    """What is stored of `password`; raises Invalid for one that may not be used."""
    return _hasher.hash(checked(password))


def matches(password: str, stored: str | None) -> bool:
    """Whether `password` is the one behind `stored`; takes the same time for None, and is then False."""
    if len(password) > LONGEST:  # nobody has such a password, and hashing it would cost
        password, stored = "", None
    try:
        return _hasher.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def renewed(password: str, stored: str) -> str | None:
    """A new hash of a password that has just matched `stored`; None if `stored` has today's figures."""
    return _hasher.hash(password) if _hasher.check_needs_rehash(stored) else None
