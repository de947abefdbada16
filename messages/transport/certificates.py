"""Reads the certificates and keys that are named for a server, so that a wrong one is told with its file."""

import os
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit


class WrongCertificate(ValueError):
    """The text names the parameter or variable, and the file."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the library that connects calls them in a URL."""

    authorities: tuple[str, ...]
    certificate: str
    key: str
    passphrase: str = ""
    """Empty: it takes none, and OpenSSL would ask for it on the terminal."""
    variables: str = ""
    """What the environment's names of them begin with; empty: the library does not look there."""


OF_POSTGRESQL = Parameters(("sslrootcert", "sslcrl"), "sslcert", "sslkey", "sslpassword", "PG")
OF_AMQP = Parameters(("cafile",), "certfile", "keyfile")
PARAMETERS = {"postgresql": OF_POSTGRESQL, "postgres": OF_POSTGRESQL, "amqps": OF_AMQP}
"""By scheme; others take no certificates."""
VERIFY_NOBODY = (None, "allow", "prefer")
"""Modes in which asyncpg reads no authorities from the environment."""


def read_certificates(url: str) -> None:
    """Raises WrongCertificate, one line, if a file cannot be used that the URL names, or the environment for it."""
    parts = urlsplit(url)
    parameters = PARAMETERS.get(parts.scheme)
    if parameters is None:
        return
    query = dict(parse_qsl(parts.query))
    mode = query.get("sslmode") or _variable(parameters, "sslmode")
    if mode == "disable":
        return
    looked_up = _looked_up(parameters, mode) if mode or _is_on_a_network(parts, query) else ()
    files = _files(parameters, query, looked_up)
    for file in files.values():
        _open(file)
    for name in parameters.authorities:
        if name in files:
            _read_authority(files[name])
    if parameters.certificate in files and parameters.key in files:
        _read_pair(parameters, files, query.get(parameters.passphrase, ""))


@dataclass(frozen=True, slots=True)
class File:
    path: str
    told: str

    def __str__(self) -> str:
        return f"{self.told} {self.path}"


def _variable(parameters: Parameters, name: str) -> str | None:
    return os.environ.get(f"{parameters.variables}{name.upper()}") if parameters.variables else None


def _is_on_a_network(parts: SplitResult, query: Mapping[str, str]) -> bool:
    """Or one of several hosts; those on a socket need no certificates."""
    hosts = parts.netloc.rpartition("@")[2] or query.get("host") or os.environ.get("PGHOST") or "localhost"
    return not all(unquote(host).startswith("/") for host in hosts.split(","))


def _looked_up(parameters: Parameters, mode: str | None) -> tuple[str, ...]:
    """What the library looks up in the environment, in this mode, if the URL does not have it."""
    authorities = () if mode in VERIFY_NOBODY else parameters.authorities
    return (*authorities, parameters.certificate, parameters.key)


def _files(parameters: Parameters, query: Mapping[str, str], looked_up: Collection[str]) -> dict[str, File]:
    """By parameter. The URL goes before the environment."""
    files = {}
    for name in (*parameters.authorities, parameters.certificate, parameters.key):
        if name in query:
            files[name] = File(query[name], f"its {name}")
        elif name in looked_up and (path := _variable(parameters, name)):
            files[name] = File(path, f"{parameters.variables}{name.upper()}")
    return files


def _open(file: File) -> None:
    try:
        with Path(file.path).open("rb"):
            pass
    except OSError as error:
        raise WrongCertificate(f"cannot read {file}: {os.strerror(error.errno or 0)}") from None


def _read_authority(file: File) -> None:
    try:
        _context().load_verify_locations(file.path)
    except ssl.SSLError:
        raise WrongCertificate(f"{file} holds no certificate in PEM format") from None


def _read_pair(parameters: Parameters, files: Mapping[str, File], passphrase: str) -> None:
    certificate, key = files[parameters.certificate], files[parameters.key]
    try:
        _context().load_cert_chain(certificate.path, key.path, lambda: passphrase)
    except ssl.SSLError:
        unless = f"{parameters.passphrase} is wrong" if parameters.passphrase else "has a passphrase"
        raise WrongCertificate(f"{key} is not the key of {certificate}, or {unless}") from None


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
