"""TLS contexts from PEM files. Mutual TLS: both sides verify the other's certificate against authorities they name."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from encmempool.errors import EnvironmentProblem


def server_context(certificate: Path, key: Path | None, peer_authorities: Path | None) -> ssl.SSLContext:
    """With `peer_authorities`: a certificate that is shown must be one of theirs, but none has to be shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with _one_line(certificate, key, peer_authorities):
        context.load_cert_chain(certificate, key, password=_no_password)
        if peer_authorities is not None:
            context.load_verify_locations(peer_authorities)
            context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(authority: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Without `authority` the system's are trusted; without `certificate` none is shown."""
    with _one_line(authority, certificate, key):
        context = ssl.create_default_context(cafile=authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key, password=_no_password)
    return context


def no_trust() -> ssl.SSLContext:
    """For connections that use no TLS: accepts no certificate."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def certificate_name(certificate: Mapping[str, Any]) -> str:
    """The first alternative name of a verified certificate, else its common name, else its serial number."""
    for _, value in certificate.get("subjectAltName", ()):
        return str(value)
    for part in certificate.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return str(certificate.get("serialNumber", "a peer"))


@contextlib.contextmanager
def _one_line(*paths: Path | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        missing = ", ".join(str(path) for path in paths if path is not None and not path.exists())
        raise EnvironmentProblem(f"a PEM file for TLS is missing: {missing}") from error
    except OSError as error:  # SSLError is one
        names = ", ".join(str(path) for path in paths if path is not None)
        raise EnvironmentProblem(f"the PEM files for TLS cannot be used ({names}): {error}") from error


def _no_password() -> NoReturn:
    raise EnvironmentProblem("the key for TLS is encrypted: store it without a password, readable by the node alone")
