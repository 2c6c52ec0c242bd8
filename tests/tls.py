"""TLS for servers that have none: an authority, its certificates, and a listener that speaks for a server behind it.

The wheels of Postgres and Valkey are built without OpenSSL. `Gate` takes real TLS connections by TCP, begins them
as Postgres does (SSLRequest) or as Redis does, and hands on what comes to the server's own socket.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


class Authority:
    """Somebody who signs certificates; its own lies in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.key, self.name = folder, ec.generate_private_key(ec.SECP256R1()), _name(name)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(_built(self.name, self, self.key.public_key(), ca=True).sign(self.key, hashes.SHA256())))  # fmt: skip

    def server(self, host: str) -> ssl.SSLContext:
        """What a server at `host` needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        named = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        builder = _built(_name(host), self, key.public_key(), ca=False)
        signed = builder.add_extension(x509.SubjectAlternativeName([named]), critical=False).sign(self.key, hashes.SHA256())  # fmt: skip
        both = self.folder / f"{host}-{id(key)}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        both.write_bytes(private + _pem(signed))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _built(
    name: x509.Name, issuer: Authority, key: ec.EllipticCurvePublicKey, *, ca: bool
) -> x509.CertificateBuilder:
    """Not signed yet; with all that Python 3.13 and later demand of a chain."""
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer.name).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    builder = builder.add_extension(of_issuer, critical=False)
    builder = builder.add_extension(
        x509.KeyUsage(
            digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        ),
        critical=True,
    )  # fmt: skip
    return builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)


class Gate:
    """Listens at 127.0.0.1 in front of a server's socket; `encrypted` counts the connections that came by TLS."""

    def __init__(self, behind: str, context: ssl.SSLContext | None, *, postgres: bool) -> None:
        self.behind, self.context, self.postgres = behind, context, postgres
        self.encrypted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more, and end what is open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for line in (self._listener, *self._open):
            with suppress(OSError):
                line.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self._open.append(line)
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError):
            first = b""
            asked = not self.postgres
            while self.postgres and not asked:
                first = line.recv(8, socket.MSG_WAITALL)
                code = struct.unpack("!II", first)[1]
                if code not in (SSL_REQUEST, GSS_REQUEST):
                    break
                asked, first = code == SSL_REQUEST, b""
                line.sendall(b"S" if asked and self.context else b"N")
            if self.context and asked:
                line = self.context.wrap_socket(line, server_side=True)
                self.encrypted += 1
                self._open.append(line)
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.behind)
            self._open.append(server)
            server.sendall(first)
            threading.Thread(target=_pump, args=(server, line), daemon=True).start()
            _pump(line, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65536):
            target.sendall(data)
    for line in (source, target):
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate(behind: str, context: ssl.SSLContext | None, *, postgres: bool) -> Iterator[Gate]:
    """A Gate for the length of a block."""
    with closing(Gate(behind, context, postgres=postgres)) as opened:
        yield opened
