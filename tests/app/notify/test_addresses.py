"""What may be called and written to, judged before it is kept."""

from __future__ import annotations

import pytest

from app.notify import setup
from app.notify.addresses import check_email, check_url, lane
from app.notify.setup import Setup

REFUSED = {
    "ftp://a.example/": "begin with https",
    "a.example": "begin with https",
    "https://": "name a host",
    "https:///path": "name a host",
    "": "begin with https",
    "https://user:pw@a.example/": "user or a password",
    "https://user@a.example/": "user or a password",
    "https://a.example/#top": "fragment",
    "https://a.example/a b": "spaces",
    "https://a.example/\nX: y": "no address",
    "https://a.example:99999/": "no address",
    "https://[::1/": "no address",
    "https://a.example/" + "x" * 2000: "longer than",
}
PRIVATE = """
http://localhost/ http://x.localhost/ http://printer.local/ http://127.0.0.1/ http://127.1/ http://0x7f.1/ http://2130706433/
http://10.0.0.1:8080/ http://[::1]/ http://[fd00::1]/ http://[::ffff:10.0.0.1]/ http://169.254.169.254/latest http://0/
""".split()


@pytest.mark.parametrize(("url", "words"), REFUSED.items())
def test_what_is_no_address_is_refused(url: str, words: str) -> None:
    assert words in (check_url(url) or "")


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused_unless_allowed(url: str) -> None:
    assert check_url(url) == "is not an address of the public internet"
    setup.use(Setup(allow_private=True))
    assert check_url(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/",
        "http://a.example:8080/x?y=z",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
    ],
)
def test_public_addresses_are_fine(url: str) -> None:
    assert check_url(url) is None


@pytest.mark.parametrize("good", ["ada@example.org", "a.b+c@x.callboard.local", "ä@bücher.example"])
def test_good_mail_addresses(good: str) -> None:
    assert check_email(good) is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "Ada <ada@example.org>",
        "a@b.org, c@d.org",
        "a@b.org\nBcc: c@d.org",
        "a b@c.org",
    ],
)
def test_bad_mail_addresses(bad: str) -> None:
    assert check_email(bad) is not None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://A.example/x", "a.example:443"),
        ("http://a.example/", "a.example:80"),
        ("http://a.example:81/", "a.example:81"),
        ("http://[::1", "nobody"),
    ],
)
def test_lanes(url: str, name: str) -> None:
    assert lane(url) == name
