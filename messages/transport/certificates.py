"""Reads the certificates and keys that a server's URL names, so that a wrong one is told with the name of its file."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit


class WrongCertificate(ValueError):
    """The text names the parameter and the file."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the library that connects calls them in a URL."""

    authorities: tuple[str, ...]
    certificate: str
    key: str
    passphrase: str = ""
    """Empty: it takes none, and OpenSSL would ask for it on the terminal."""


OF_POSTGRESQL = Parameters(("sslrootcert", "sslcrl"), "sslcert", "sslkey", "sslpassword")
OF_AMQP = Parameters(("cafile",), "certfile", "keyfile")
PARAMETERS = {"postgresql": OF_POSTGRESQL, "postgres": OF_POSTGRESQL, "amqps": OF_AMQP}
"""By scheme; others take no certificates."""


def read_certificates(url: str) -> None:
    """Raises WrongCertificate, one line, if a file that the URL names cannot be used."""
    parts = urlsplit(url)
    parameters = PARAMETERS.get(parts.scheme)
    given = dict(parse_qsl(parts.query))
    if parameters is None or given.get("sslmode") == "disable":
        return
    for name in (*parameters.authorities, parameters.certificate, parameters.key):
        if name in given:
            _open(name, given[name])
    for name in parameters.authorities:
        if name in given:
            _read_authority(name, given[name])
    if parameters.certificate in given and parameters.key in given:
        _read_pair(parameters, given)


def _open(name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise WrongCertificate(f"cannot read its {name} {path}: {os.strerror(error.errno or 0)}") from None


def _read_authority(name: str, path: str) -> None:
    try:
        _context().load_verify_locations(path)
    except ssl.SSLError:
        raise WrongCertificate(f"its {name} {path} holds no certificate in PEM format") from None


def _read_pair(parameters: Parameters, given: Mapping[str, str]) -> None:
    certificate, key = parameters.certificate, parameters.key
    try:
        _context().load_cert_chain(given[certificate], given[key], lambda: given.get(parameters.passphrase, ""))
    except ssl.SSLError:
        unless = f", or {parameters.passphrase} is wrong" if parameters.passphrase else ", or has a passphrase"
        files = f"its {key} {given[key]} is not the key of its {certificate} {given[certificate]}"
        raise WrongCertificate(f"{files}{unless}") from None


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
