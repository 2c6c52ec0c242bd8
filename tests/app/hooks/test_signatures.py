from __future__ import annotations

import hashlib
import hmac

import pytest

from app.hooks import signatures
from tests.app.hooks.sending import by_github, by_standard, raw

STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OURS = "a secret of the tests"


def test_githubs_own_example_fits() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": signature}
    secret = "It's a Secret to Everybody"

    assert signatures.why_not("github", headers, b"Hello, World!", [secret]) is None
    assert signatures.why_not("github", headers, b"Hello, World! ", [secret]) == "its signature does not fit"
    assert signatures.why_not("github", headers, b"Hello, World!", ["x" * 20, secret]) is None


@pytest.mark.parametrize("given", ["", "sha256=", "sha1=abc", "sha256=é", "x" * 5000])
def test_no_signature_and_a_wrong_one_do_not_fit(given: str) -> None:
    assert signatures.why_not("github", {"x-hub-signature-256": given}, b"{}", [OURS]) is not None


def test_sha1_alone_does_not_fit() -> None:
    old = {"x-hub-signature": "sha1=" + hmac.new(OURS.encode(), b"{}", hashlib.sha1).hexdigest()}

    assert signatures.why_not("github", old, b"{}", [OURS]) == "it is signed by SHA-1 only"


def test_a_body_that_was_written_anew_does_not_fit() -> None:
    body = raw({"text": "größer"})
    headers = {name.lower(): value for name, value in by_github(OURS, "push", body).items()}

    assert signatures.why_not("github", headers, body, [OURS]) is None
    assert signatures.why_not("github", headers, body.replace(b":", b": "), [OURS]) is not None


@pytest.mark.parametrize(
    ("late", "fits"), [(0, True), (240, True), (-240, True), (600, False), (-600, False)]
)
def test_standard_signatures_are_good_for_five_minutes(late: float, *, fits: bool) -> None:
    body = raw({"type": "invoice.paid"})

    assert (
        signatures.why_not("standard", by_standard(STANDARD, body, late=late), body, [STANDARD]) is None
    ) is fits


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "another"}, {"webhook-timestamp": "nan"}, {"webhook-signature": "v1"},
        {"webhook-signature": "v1,ä"}, {"webhook-signature": "v2,AAAA"}, {"webhook-id": ""},
    ],
)  # fmt: skip
def test_id_time_and_signature_belong_together(change: dict[str, str]) -> None:
    body = raw({"type": "x"})

    assert signatures.why_not("standard", by_standard(STANDARD, body) | change, body, [STANDARD]) is not None
    assert signatures.why_not("standard", by_standard(STANDARD, body), b"\xff", [STANDARD]) is not None


def test_a_secret_of_the_settings_may_be_any_text() -> None:
    body = raw({"command": "x"})
    whsec = "whsec_" + "YSBzZWNyZXQgb2YgdGhlIHRlc3Rz"  # the same bytes

    assert signatures.why_not("session", by_standard(whsec, body), body, [OURS]) is None


def test_secrets_are_made_and_judged_by_their_provider() -> None:
    assert signatures.fresh("standard").startswith("whsec_")
    assert len(signatures.fresh("github")) >= 40
    assert signatures.complaint("standard", signatures.fresh("session")) is None
    assert signatures.complaint("standard", "x" * 30) is not None
    assert signatures.complaint("github", "short") is not None
    assert signatures.complaint("github", "x" * 30) is None
