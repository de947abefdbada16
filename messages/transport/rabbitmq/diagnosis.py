"""Tells people in one line why a broker could not be reached."""

import os
import re
import ssl
from asyncio import IncompleteReadError

from aiormq.exceptions import AuthenticationError, ConnectionNotAllowed, ProbableAuthenticationError
from yarl import URL

PORT, TLS_PORT = 5672, 5671
LIMIT = re.compile(r"limit \(\d+\) is reached")
"""RabbitMQ's words. A virtual host or a user may have a name with `limit` in it."""


def why_not_connected(error: Exception, url: str) -> str:
    """For callers that try only once. RabbitMQ's refusals repeat the user's name, and are not quoted."""
    for each in (error, error.__cause__):
        if isinstance(each, ssl.SSLError):
            return f"TLS: {each}"
    if isinstance(error, ConnectionNotAllowed):
        if LIMIT.search(str(error)):
            return "the broker refuses one more connection: a limit of this user or of the virtual host is reached"
        return "the virtual host does not exist, or this user may not access it"
    if isinstance(error, (AuthenticationError, ProbableAuthenticationError)):
        return "the broker refuses this user or password"
    address = _address(URL(url))
    if isinstance(error.__cause__, IncompleteReadError):
        return f"what answers at {address} hangs up: a balancer without a node, a port for TLS, or a broker that stops"
    return f"the broker cannot be reached at {address}: {_obstacle(error)}"


def _address(url: URL) -> str:
    return f"{url.host_subcomponent}:{url.port or (TLS_PORT if url.scheme == 'amqps' else PORT)}"


def _obstacle(error: Exception) -> str:
    """The operating system's text; those of asyncio and aiormq differ, and repeat the address."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        return type(error).__name__
    return os.strerror(number) if number > 0 else str(error.args[-1])  # negative ones are getaddrinfo's
