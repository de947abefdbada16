"""Reads the passwords of RabbitMQ's users from a file, and hashes them as RabbitMQ does."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, BinaryIO

from messages.transport.command_line.failures import WrongUsage
from messages.transport.faults import one_line

DEVELOPMENT_PASSWORD = "development"  # noqa: S105  public
URL_SAFE = re.compile(r"[A-Za-z0-9._~-]+")


def read(file: BinaryIO, names: Collection[str]) -> dict[str, str]:
    """A JSON object with the password of each user. Raises WrongUsage, which quotes none of them."""
    try:
        passwords = json.load(file)
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"{file.name} is not JSON: {one_line(error)}") from None
    if problem := _problem(passwords, names):
        raise WrongUsage(f"{file.name}: {problem}")
    return dict(passwords)


def _problem(passwords: Any, names: Collection[str]) -> str | None:
    if not isinstance(passwords, dict) or passwords.keys() != set(names):
        return f"must be a JSON object with a password for each of {', '.join(sorted(names))}, and no other user"
    for name, password in passwords.items():
        # It becomes part of the URL that the daemon or the client connects to.
        if not isinstance(password, str) or not URL_SAFE.fullmatch(password):
            return f"the password of {name} must be text, not empty, of ASCII letters, digits, and -._~ only"
    return None


def hashed(passwords: Mapping[str, str], salt: Callable[[str], bytes]) -> dict[str, str]:
    """User to hash; `salt` is asked for four bytes a user."""
    return {name: password_hash(password, salt(name)) for name, password in passwords.items()}


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's own: base64 of the salt and of the SHA-256 over salt and password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def random_salt(_: str) -> bytes:
    return os.urandom(4)


def development_salt(name: str) -> bytes:
    """Always the same, so that regenerating the file does not change it."""
    return hashlib.sha256(name.encode()).digest()[:4]
