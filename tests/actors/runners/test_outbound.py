"""The way out leads to public addresses only, however they are spelled and whatever name servers say."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import httpcore2
import httpx2
import pytest

from actors.runners import outbound
from app.addresses import is_public
from app.errors import PermanentError
from tests.actors.runners.server import Site, serving

PRIVATE = """
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 017700000001 0.0.0.0 0 localhost 10.0.0.1 10.1
172.16.0.1 192.168.0.1 169.254.169.254 0xa9fea9fe 2852039166 100.64.0.1 168.63.129.16 198.18.0.1 224.0.0.1
255.255.255.255 240.0.0.1 192.88.99.1 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254]
[::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001:0:1::1] [fe80::1] [fc00::1]
[fd00:ec2::254] [fec0::1] [ff02::1] [2001:db8::1] [3fff::1] [5f00::1]
""".split()

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"]


def nothing() -> None:
    """A patrol with no objection."""


def get(url: str, *, allow_private: bool = False) -> httpx2.Response:
    with outbound.client(patrol=nothing, timeout=3, allow_private=allow_private) as client:
        return client.get(url)


@pytest.mark.parametrize("host", PRIVATE)
def test_no_spelling_of_a_private_address_is_called(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(outbound, "connect", lambda *arguments: called.append(arguments))

    with pytest.raises((PermanentError, httpx2.InvalidURL, httpx2.ConnectError)):
        get(f"http://{host}:8080/")

    assert called == []


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "not an address", "", "1.2.3"])
def test_what_is_no_address_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_a_name_server_that_changes_its_mind_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])
    called: list[object] = []

    def refuse(address: outbound.Address, *more: object) -> socket.socket:
        called.append(address[1])
        raise ConnectionRefusedError

    monkeypatch.setattr(outbound, "resolve", lambda host, port: [(socket.AF_INET, (next(answers), port))])
    monkeypatch.setattr(outbound, "connect", refuse)

    with pytest.raises(httpx2.ConnectError):
        get("http://rebinding.test/")

    assert called == [("93.184.216.34", 80)]
    assert next(answers) == "127.0.0.1"


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, ("93.184.216.34", 80)), (socket.AF_INET, ("10.0.0.1", 80))]
    monkeypatch.setattr(outbound, "resolve", lambda host, port: found)

    with pytest.raises(outbound.BlockedAddress):
        get("http://mixed.test/")


def test_the_next_address_is_tried(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET, ("127.0.0.1", site.port))]
    monkeypatch.setattr(outbound, "resolve", lambda host, port: found)

    assert get("http://two.test/text", allow_private=True).text == "hello"


def test_a_name_that_does_not_exist_is_a_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(host: str, port: int) -> list[outbound.Address]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(outbound, "resolve", fail)

    with pytest.raises(httpx2.ConnectError, match="cannot be resolved"):
        get("http://nowhere.test/")


def test_proxies_of_the_environment_are_ignored(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert get(site.url + "/text", allow_private=True).status_code == 200


def test_unix_sockets_are_refused() -> None:
    with pytest.raises(PermanentError):
        outbound.CheckedBackend(nothing, allow_private=True).connect_unix_socket("/run/docker.sock")


def test_the_certificate_is_checked_against_the_name_not_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=agent.test -keyout {key} -out {certificate}"
    subprocess.run(
        [*made.split(), "-addext", "subjectAltName=DNS:agent.test"], check=True, capture_output=True
    )
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate, key)
    names: list[str | None] = []
    theirs.sni_callback = lambda connection, name, context: names.append(name)
    monkeypatch.setattr(outbound, "_trust", lambda: ssl.create_default_context(cafile=str(certificate)))
    monkeypatch.setattr(outbound, "resolve", lambda host, port: [(socket.AF_INET, ("127.0.0.1", port))])

    with serving(theirs) as site:
        assert get(f"https://agent.test:{site.port}/text", allow_private=True).text == "hello"
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            get(f"https://other.test:{site.port}/text", allow_private=True)

    assert names == ["agent.test", "other.test"]


def test_a_connection_is_used_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[outbound.Address] = []
    real = outbound.connect

    def connect(address: outbound.Address, timeout: float, patrol: outbound.Patrol) -> socket.socket:
        made.append(address)
        return real(address, timeout, patrol)

    monkeypatch.setattr(outbound, "connect", connect)

    with outbound.client(patrol=nothing, timeout=3, allow_private=True) as client:
        for _ in range(3):
            assert client.get(site.url + "/text").text == "hello"

    assert len(made) == 1


def test_an_address_that_never_answers_times_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # the queue of connections is full after one or two
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        host, port = full.getsockname()
        with pytest.raises(httpcore2.ConnectTimeout):
            outbound.CheckedBackend(nothing, allow_private=True).connect_tcp(host, port, timeout=0.5)
        for each in waiting:
            each.close()
